/* SPDX-License-Identifier: MIT
 *
 * test_study_kill.c - a study that was killed (SIGKILL) at any moment and is started again
 * ends with the same rows and the same files as one that was left alone.
 *
 * A moment is no time: a study that runs counts its steps, and dies at the one that the
 * test chose, on any machine the same. Steps are the reports of progress, and whatever
 * lasts when the process is gone: writes, synchronisations, new names of files. For that,
 * the functions of the C library by which this program and SQLite do it are replaced below
 * by the same with a step before.
 */
#define _GNU_SOURCE /* syscall() */
#include "testing.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "twinlens/report.h"
#include "twinlens/circuit.h"
#include "twinlens/model.h"
#include "twinlens/rows.h"
#include "twinlens/study.h"

#include "study_rows.h"

enum { STAGES = 32 };

/* What a study tells the test, from a process that may be dead. */
typedef struct told {
    size_t n_steps, n_writes;
    char stages[STAGES][48];  /* in the order of their first reports */
    size_t n_reports[STAGES]; /* of each */
    size_t n_stages;
} told;

/* When a study dies: at a step, counted from 1, or when a stage has done that. */
typedef enum deed { FIRST_UNIT, LAST_UNIT, END } deed;
typedef struct moment {
    size_t step;
    const char *stage;
    deed deed;
} moment;

static told *heard;
static moment until;
static bool is_study; /* not in the process of the test itself */
static tl_bp_search search;
static const char *dataset = "tests/data/qwen2vl-tiny/goldens";

/* ---- steps ----------------------------------------------------------------------- */

static bool is_last_step(void)
{
    return is_study && ++heard->n_steps == until.step;
}

static void step(void)
{
    if (is_last_step())
        raise(SIGKILL);
}

#pragma GCC visibility push(default)

int fsync(int fd)
{
    step();
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    step();
    return (int)syscall(SYS_fdatasync, fd);
}

int rename(const char *from, const char *to)
{
    step();
    return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

int unlink(const char *path)
{
    step();
    return unlinkat(AT_FDCWD, path, 0);
}

/* The last write of a study is torn. */
ssize_t write(int fd, const void *data, size_t bytes)
{
    if (fd > STDERR_FILENO && is_last_step()) {
        syscall(SYS_write, fd, data, bytes / 2);
        raise(SIGKILL);
    }
    return syscall(SYS_write, fd, data, bytes);
}

ssize_t pwrite64(int fd, const void *data, size_t bytes, off64_t offset)
{
    if (is_last_step()) {
        syscall(SYS_pwrite64, fd, data, bytes / 2, offset);
        raise(SIGKILL);
    }
    heard->n_writes++;
    return syscall(SYS_pwrite64, fd, data, bytes, offset);
}

#pragma GCC visibility pop

static void on_progress(void *user, const tl_progress_report *report)
{
    (void)user;
    size_t i = 0;
    while (i < heard->n_stages && strcmp(heard->stages[i], report->stage) != 0)
        i++;
    if (i == heard->n_stages && i < STAGES)
        snprintf(heard->stages[heard->n_stages++], sizeof *heard->stages, "%s",
                 report->stage);
    if (i < STAGES)
        heard->n_reports[i]++;
    const bool is_deed = until.deed == END ? report->event == TL_PROGRESS_END
                                           : report->event == TL_PROGRESS_STEP &&
                                                 (until.deed == FIRST_UNIT ||
                                                  report->n_done == report->n_units);
    if (until.stage != NULL && is_deed && strcmp(until.stage, report->stage) == 0)
        raise(SIGKILL);
    step();
}

/* ---- studies --------------------------------------------------------------------- */

static test_folder root;
static char alone[300]; /* the study that is left alone */
static char *wanted;    /* all its rows */
static told whole;      /* what it told */

/* As the program does it, in this process. */
static tl_status study_and_report(const char *folder, tl_error *err)
{
    tl_settings s;
    char page[400];
    tl_settings_init(&s);
    s.model = "tests/data/qwen2vl-tiny/checkpoint";
    s.dataset = dataset;
    s.out = folder;
    s.threads = 1;
    s.precision = TL_PRECISION_BF16_EMULATED; /* which is compared with f32 */
    /* So little that scores are on the disk and pairs are attributed one by one. */
    s.memory = (size_t)3400 << 10;
    s.keep = TL_KEEP_ALL;
    s.fractions = "0,0.1,0.5";
    s.bp_grid = TL_BP_PAPER;
    s.bp_search = (int)search;
    s.ablate = search == TL_BP_HALVING ? TL_ABLATE_MEAN : TL_ABLATE_COUNTERFACTUAL;
    s.pictures = 2;
    s.validate = 1;
    s.rand_draws = s.inter_draws = 2;
    const tl_status status = tl_study_run(&s, on_progress, NULL, err);
    snprintf(page, sizeof page, "%s/report.html", folder);
    return status != TL_OK || tl_file_exists(page)
               ? status
               : tl_report_write(&folder, 1, page, err);
}

/* Runs a study in a process of its own; whether it was killed. If not, it must have
 * ended well. */
static bool is_killed(const char *folder, moment last)
{
    *heard = (told){0};
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        tl_error err = {0};
        is_study = true;
        until = last;
        const tl_status status = study_and_report(folder, &err);
        is_study = false;
        if (status != TL_OK)
            fprintf(stderr, "%s: %s\n", folder, err.text);
        _exit(status != TL_OK);
    }
    int how = 0;
    assert_int_equal(waitpid(child, &how, 0), child);
    if (WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL)
        return true;
    assert_true(WIFEXITED(how));
    assert_int_equal(WEXITSTATUS(how), 0);
    return false;
}

/* ---- what is left ---------------------------------------------------------------- */

static size_t count_files(const char *folder)
{
    size_t n = 0;
    DIR *stream = opendir(folder);
    assert_non_null(stream);
    while (readdir(stream) != NULL)
        n++;
    closedir(stream);
    return n;
}

/* Goes on with a study that was killed, to its end, which is that of the other. */
static void expect_same_end(const char *folder)
{
    static const char *const names[] = {"report.html", "scores.text.safetensors",
                                        "scores.image.safetensors"};
    assert_false(is_killed(folder, (moment){0}));
    expect_same_rows(wanted, folder);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (i == 0 || strstr(wanted, names[i]) != NULL) /* scores of both, one, none */
            expect_same_file(alone, folder, names[i]);
    assert_int_equal(count_files(folder), count_files(alone));
}

static const char *folder_of(const char *name)
{
    static char folder[300];
    snprintf(folder, sizeof folder, "%s/%s", root.path, name);
    return folder;
}

/* ---- tests ----------------------------------------------------------------------- */

static int leave_one_alone(void **unused)
{
    (void)unused;
    heard = mmap(NULL, sizeof *heard, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(heard, MAP_FAILED);
    root = test_folder_create();
    snprintf(alone, sizeof alone, "%s/alone", root.path);
    assert_false(is_killed(alone, (moment){0}));
    whole = *heard;
    wanted = rows_of(alone);
    return 0;
}

static int remove_all(void **unused)
{
    (void)unused;
    free(wanted);
    munmap(heard, sizeof *heard);
    test_folder_remove(root.path);
    return 0;
}

/* Of every table a row, of every stage a report; SQLite's writes are counted. */
static void the_study_left_alone_has_everything(void **unused)
{
    (void)unused;
    size_t n_tables = 0;
    for (const char *line = wanted; *line != '\0'; line = strchr(line, '\n') + 1) {
        const char *next = strchr(line, '\n') + 1;
        /* Of so few pairs no part can be left out. */
        const bool may_be_empty = strncmp(line, "[overlap_without]", 17) == 0 ||
                                  strncmp(line, "[picture_view]", 14) == 0;
        if (*line == '[' && (*next == '[' || *next == '\0') && !may_be_empty)
            fail_msg("%.*s has no rows", (int)(next - line - 1), line);
        n_tables += *line == '[';
    }
    assert_true(n_tables > 20);
    assert_in_range(whole.n_stages, 15, STAGES - 1);
    assert_true(whole.n_writes > 100);
    assert_true(whole.n_steps > whole.n_writes + 100);
}

static void a_study_killed_at_any_moment_ends_the_same(void **unused)
{
    (void)unused;
    enum { MOMENTS = 8 };
    for (size_t i = 0; i < MOMENTS; i++) {
        char name[32];
        snprintf(name, sizeof name, "moment-%zu", i);
        const char *folder = folder_of(name);
        assert_true(is_killed(
            folder, (moment){.step = 1 + whole.n_steps * (2 * i + 1) / (2 * MOMENTS)}));
        expect_same_end(folder);
    }
}

/* Each time it comes a little farther, before it is killed again. */
static void a_study_killed_again_and_again_ends_the_same(void **unused)
{
    (void)unused;
    enum { STEPS = 25 };
    const char *folder = folder_of("again");
    size_t n_killed = 0;
    while (is_killed(folder, (moment){.step = whole.n_steps / STEPS + n_killed}))
        n_killed++;
    assert_true(n_killed >= STEPS);
    expect_same_end(folder);
}

enum { OF_ONE = 3 }; /* reports of a stage of one step: begin, step, end */

static void die_when(const char *folder, const char *stage, deed what)
{
    if (!is_killed(folder, (moment){.stage = stage, .deed = what}))
        fail_msg("'%s' did not come as far as %d", stage, (int)what);
}

/* With the first rows of the stage, with all of them but those of the whole stage, and when
 * it has just ended. */
static void a_study_killed_in_and_after_every_stage_ends_the_same(void **unused)
{
    (void)unused;
    const char *folder = folder_of("stages");
    size_t n_sums = 0;
    for (size_t i = 0; i < whole.n_stages; i++) {
        const char *stage = whole.stages[i];
        if (whole.n_reports[i] > OF_ONE)
            die_when(folder, stage, FIRST_UNIT);
        if (whole.n_reports[i] > OF_ONE && strncmp(stage, "attribute ", 10) == 0) {
            char sums[400]; /* of some pairs */
            snprintf(sums, sizeof sums, "%s/partial.%s.safetensors", folder,
                     stage + 10);
            assert_true(tl_file_exists(sums));
            n_sums++;
        }
        die_when(folder, stage, LAST_UNIT);
        die_when(folder, stage, END);
    }
    assert_int_equal(n_sums, 2); /* text and image */
    expect_same_end(folder);
}

/* A search replays what it has done, after every prompt. */
static void a_search_killed_after_every_prompt_ends_the_same(void **unused)
{
    (void)unused;
    const char *const stages[] = {"back-patch text", "back-patch image", "iterate"};
    enum { PAIRS = 6 };
    char folder[300];
    search = TL_BP_HALVING;
    snprintf(folder, sizeof folder, "%s", folder_of("search"));
    snprintf(alone, sizeof alone, "%s", folder_of("search-alone"));
    assert_false(is_killed(alone, (moment){0}));
    free(wanted);
    wanted = rows_of(alone);
    assert_non_null(strstr(wanted, ",---------,")); /* a text of a round */
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++)
        for (size_t k = 0; k < PAIRS; k++)
            die_when(folder, stages[i], FIRST_UNIT);
    expect_same_end(folder);
}

/* Prompts of several lengths: no circuits. Images alone, of no part; or as long as the
 * rows say, beside texts. And prompts that are alike, whose texts have all one answer: no
 * circuits of text. */
typedef enum lacking { ALONE, LENGTHS, ANSWERS } lacking;

static void make_lacking(const char *folder, lacking what)
{
    const bool with_text = what != ALONE;
    char path[400];
    assert_int_equal(mkdir(folder, 0755), 0);
    snprintf(path, sizeof path, "%s/task.json", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("{\"name\": \"free\", \"labels\": [\"1\", \"2\", \"3\", \"4\"]}", file);
    fclose(file);
    snprintf(path, sizeof path, "%s/dataset.jsonl", folder);
    file = fopen(path, "w");
    assert_non_null(file);
    for (size_t i = 0; i < 6; i++)
        fprintf(file,
                "{\"id\": \"%zu\", \"modality\": \"image\", \"image\": \"%s/tests/data/"
                "qwen2vl-tiny/goldens/images/%zu.png\", \"query\": \"How many%s?\", "
                "\"answer\": \"%zu\", %s, \"pair\": \"%zu\"}\n",
                i, TWINLENS_SOURCE_DIR, i,
                i % 2 && what != ANSWERS ? " dogs are there" : " there are", 1 + i % 4,
                with_text ? "\"x_note\": 1" : "\"split\": \"none\"", i);
    for (size_t i = 0; i < (with_text ? 6 : 0); i++)
        fprintf(file,
                "{\"id\": \"t%zu\", \"modality\": \"text\", \"data\": \" dog%s\", "
                "\"query\": \" How many?\", \"answer\": \"%zu\", \"pair\": \"%zu\"}\n",
                i, i % 3 && what != ANSWERS ? " car" : "",
                what == ANSWERS ? 1 : 1 + i % 4, i);
    fclose(file);
}

static bool has_rows(const char *rows, const char *table)
{
    const char *found = strstr(rows, table);
    return found != NULL && strchr(found, '\n')[1] != '[' &&
           strchr(found, '\n')[1] != '\0';
}

/* Without circuits, of both or of text; killed in and after each of `stages`. */
static void expect_same_when_killed(lacking what, const char *const *stages,
                                    size_t n_stages)
{
    static const char *const names[] = {"images", "lengths", "answers"};
    static const char *const reasons[] = {NULL, TL_SEVERAL_LENGTHS, TL_TOO_FEW};
    char folder[300], data[300], name[32];
    search = TL_BP_FULL;
    snprintf(name, sizeof name, "%s-data", names[what]);
    snprintf(data, sizeof data, "%s", folder_of(name));
    make_lacking(data, what);
    dataset = data;
    snprintf(folder, sizeof folder, "%s", folder_of(names[what]));
    snprintf(name, sizeof name, "%s-alone", names[what]);
    snprintf(alone, sizeof alone, "%s", folder_of(name));
    assert_false(is_killed(alone, (moment){0}));
    const told all = *heard;
    assert_int_equal(all.n_stages, n_stages);
    free(wanted);
    wanted = rows_of(alone);
    assert_true(has_rows(wanted, "[backpatch]"));
    assert_true(has_rows(wanted, "[crossed_iteration]"));
    assert_int_equal(has_rows(wanted, "[pair]"), what == ANSWERS);
    assert_int_equal(has_rows(wanted, "[minimal]"), what == ANSWERS);
    assert_false(has_rows(wanted, "[overlap]"));
    assert_int_equal(has_rows(wanted, "[alignment]"), what != ALONE);
    for (size_t i = LENGTHS; i <= ANSWERS; i++)
        assert_int_equal(strstr(wanted, reasons[i]) != NULL, (size_t)what == i);
    for (size_t i = 0; i < n_stages; i++) {
        assert_string_equal(all.stages[i], stages[i]);
        if (all.n_reports[i] > OF_ONE)
            die_when(folder, stages[i], FIRST_UNIT);
        die_when(folder, stages[i], LAST_UNIT);
        die_when(folder, stages[i], END);
    }
    expect_same_end(folder);
}

static void images_alone_killed_in_every_stage_end_the_same(void **unused)
{
    (void)unused;
    static const char *const stages[] = {"predict image", "back-patch image",
                                         "iterate"};
    expect_same_when_killed(ALONE, stages, sizeof stages / sizeof *stages);
}

static void free_lengths_killed_in_every_stage_end_the_same(void **unused)
{
    (void)unused;
    static const char *const stages[] = {
        "predict text",    "predict image",    "align",
        "back-patch text", "back-patch image", "iterate"};
    expect_same_when_killed(LENGTHS, stages, sizeof stages / sizeof *stages);
}

static void a_weak_modality_killed_in_every_stage_ends_the_same(void **unused)
{
    (void)unused;
    static const char *const stages[] = {
        "predict text",    "predict image",       "attribute image",
        "evaluate image",  "circuit tests image", "validate image",
        "precision image", "pictures image",      "align",
        "back-patch text", "back-patch image",    "iterate"};
    expect_same_when_killed(ANSWERS, stages, sizeof stages / sizeof *stages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_study_left_alone_has_everything),
        cmocka_unit_test(a_study_killed_at_any_moment_ends_the_same),
        cmocka_unit_test(a_study_killed_again_and_again_ends_the_same),
        cmocka_unit_test(a_study_killed_in_and_after_every_stage_ends_the_same),
        cmocka_unit_test(a_search_killed_after_every_prompt_ends_the_same),
        cmocka_unit_test(images_alone_killed_in_every_stage_end_the_same),
        cmocka_unit_test(free_lengths_killed_in_every_stage_end_the_same),
        cmocka_unit_test(a_weak_modality_killed_in_every_stage_ends_the_same),
    };
    return cmocka_run_group_tests(tests, leave_one_alone, remove_all);
}
