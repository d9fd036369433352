/* SPDX-License-Identifier: MIT
 * study.c - a whole study from C: draws the prompts of a task, studies the bundled model
 * on them, says what it found and draws the report.
 *     cc study.c -o study $(pkg-config --cflags --libs twinlens)
 *     ./study 200 counting       makes the folders counting.prompts and counting */
#include <stdio.h>
#include <stdlib.h>

#include <twinlens/twinlens.h>

static void show(void *user, const tl_progress_report *report)
{
    (void)user;
    if (report->event == TL_PROGRESS_END)
        fprintf(stderr, "%-24s %5zu  %6.1f s\n", report->stage, report->n_units,
                report->seconds);
}

static void print_findings(const tl_findings *found)
{
    for (int m = 0; m < TL_MODALITY_COUNT; m++) {
        const tl_finding_part *part = &found->parts[m];
        const tl_finding_point *smallest = tl_findings_smallest(part, TL_STUDY_CIRCUIT);
        printf("%s: right %.2f of the time", tl_modality_name(m), part->limited.value);
        if (smallest != NULL)
            printf("; %g %% of the components do %.2f of the job",
                   100 * smallest->fraction, smallest->mean_of_ratios.value);
        printf("\n");
    }
}

int main(int argc, char **argv)
{
    const size_t n = argc == 3 ? strtoul(argv[1], NULL, 10) : 0;
    const char *folder = argc == 3 ? argv[2] : "";
    char data[512], report[512];
    snprintf(data, sizeof data, "%s.prompts", folder);
    snprintf(report, sizeof report, "%s/report.html", folder);
    const tl_scene_options scene = {
        .task = TL_TASK_COUNTING, .style = TL_STYLE_SMALL, .replace = true};
    tl_settings settings;
    tl_settings_init(&settings);
    settings.dataset = data;
    settings.out = folder;

    tl_error err = {.text = "wanted a number of prompts and a folder"};
    tl_findings found;
    tl_arena *arena = tl_arena_create();
    const bool done =
        arena != NULL && n > 0 && tl_scene_write(&scene, n, 0, data, &err) == TL_OK &&
        tl_study_run(&settings, show, NULL, &err) == TL_OK &&
        tl_findings_read(folder, arena, &found, &err) == TL_OK &&
        tl_report_write((const char *[]){folder}, 1, report, &err) == TL_OK;
    if (done)
        print_findings(&found);
    else
        fprintf(stderr, "study: %s\n", err.text);
    tl_arena_destroy(arena);
    return done ? EXIT_SUCCESS : EXIT_FAILURE;
}
