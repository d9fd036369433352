/* SPDX-License-Identifier: MIT
 * cmd_circuit.c - `twinlens circuit SOURCE`: circuits as files: cut from a study or from
 * scores, joined, intersected and taken out of each other; and what is in them. */
#include "circuit/random_set.h"
#include "cli/shared_options.h"
#include "study/circuit_source.h"

typedef struct options {
    tl_settings settings;
    tl_strings sources, with, or_with, without;
    const char *out, *fraction, *counts[TL_KIND_COUNT];
    int modality, segment, kind;
    bool modality_given, segment_given, kind_given;
} options;

static void print_row(FILE *out, const char *name, const tl_component_set *set,
                      size_t begin, size_t end)
{
    fprintf(out, "%s\t%zu\t%zu\n", name,
            tl_set_count_between(set, TL_KIND_HEADS, begin, end),
            tl_set_count_between(set, TL_KIND_NEURONS, begin, end));
}

static void print_table(const tl_circuit_shape *s, const tl_component_set *set,
                        FILE *out)
{
    fprintf(out, "segment\theads\tneurons\n");
    if (s->span.data_end > 0)
        print_row(out, "before", set, 0, s->span.data_begin);
    for (size_t g = 0; g < TL_SEGMENT_COUNT && s->span.data_end > 0; g++) {
        size_t begin, end;
        tl_span_segment(&s->span, (tl_segment)g, &begin, &end);
        print_row(out, tl_overlap_part_name(g), set, begin, end);
    }
    print_row(out, tl_overlap_part_name(TL_OVERLAP_WHOLE), set, 0, s->span.n_pos);
}

static const tl_choice segments[] = {{"data", TL_SEGMENT_DATA},
                                     {"query", TL_SEGMENT_QUERY},
                                     {"generation", TL_SEGMENT_GENERATION},
                                     {0}},
                       kinds[] = {
                           {"heads", TL_KIND_HEADS}, {"neurons", TL_KIND_NEURONS}, {0}};

static const tl_taken settings[] = {{.name = "pct"}, {0}};

#define CHOICE(field, option, all, what, text)                                         \
    {                                                                                  \
        .setting = {.name = option,                                                    \
                    .kind = TL_SETTING_CHOICE,                                         \
                    .offset = offsetof(options, field),                                \
                    .choices = all,                                                    \
                    .argument = what,                                                  \
                    .help = text},                                                     \
        .given = offsetof(options, field##_given)                                      \
    }
#define LIST(field, option, text)                                                      \
    {                                                                                  \
        .setting = {.name = option,                                                    \
                    .kind = TL_SETTING_TEXT,                                           \
                    .offset = offsetof(options, field),                                \
                    .argument = "FILE|LIST",                                           \
                    .help = text},                                                     \
        .is_list = true                                                                \
    }
static const tl_option own[] = {
    TL_OPTION_TEXT(options, out, false, "out", "FILE.json", "writes the circuit"),
    CHOICE(modality, "modality", tl_modality_choices, "text|image",
           "of a study: whose scores, where there are both"),
    TL_OPTION_TEXT(
        options, fraction, false, "fraction", "P",
        "of scores: the first of the heads and of the neurons, such as 0.05; "
        "without it, of a study its smallest faithful circuit"),
    TL_OPTION_TEXT(options, counts[TL_KIND_HEADS], false, "heads", "N",
                   "of scores: so many heads, over all layers and positions"),
    TL_OPTION_TEXT(options, counts[TL_KIND_NEURONS], false, "neurons", "N",
                   "and so many neurons"),
    LIST(with, "and", "only what is in this circuit too"),
    LIST(or_with, "or", "and what is in this one, behind all --and"),
    LIST(without, "minus", "without what is in this one, behind all --or"),
    CHOICE(segment, "segment", segments, "data|query|generation",
           "of the result, the positions of this segment"),
    CHOICE(kind, "kind", kinds, "heads|neurons", "of the result, these alone"),
    TL_OPTIONS_END};

static tl_status run(int argc, char **argv, FILE *out, tl_error *err)
{
    options o;
    tl_circuit_shape shape;
    tl_component_set set;
    const char *note = NULL;
    tl_status status =
        tl_options_read(&tl_command_circuit, argc, argv, &o, sizeof o, err);
    if (status == TL_OK && o.sources.n != 1)
        status = tl_cli_misuse(err, "wanted a study, a score file or a circuit, one; "
                                    "others behind --and, --or and --minus");
    if (status == TL_OK && o.out != NULL)
        status = tl_options_check_output(o.out, err);
    if (status != TL_OK)
        return status;
    const tl_circuit_cut cut = {.modality = o.modality_given ? o.modality : -1,
                                .fraction = o.fraction,
                                .counts = {o.counts[0], o.counts[1]},
                                .rounding = (tl_fraction_rounding)o.settings.rounding};
    const tl_circuit_algebra algebra = {o.with.texts,
                                        o.or_with.texts,
                                        o.without.texts,
                                        o.with.n,
                                        o.or_with.n,
                                        o.without.n,
                                        o.segment_given ? o.segment : -1,
                                        o.kind_given ? o.kind : -1};
    tl_arena *arena = tl_arena_create();
    status = arena != NULL ? tl_circuit_source_read(o.sources.texts[0], &cut, &algebra,
                                                    arena, &shape, &set, &note, err)
                           : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a circuit");
    if (status == TL_OK && o.out != NULL)
        status = tl_circuit_write(o.out, &set, &shape.span, note, err);
    if (status == TL_OK)
        print_table(&shape, &set, out);
    tl_arena_destroy(arena);
    return status;
}

const tl_command tl_command_circuit = {
    .name = "circuit",
    .summary = "circuits as files: cut from scores, joined, compared",
    .operands = "SOURCE",
    .operand_help =
        "folder of a study, a score file, a circuit as docs/formats.md has it "
        "or a list such as L3H5,L4N120@17",
    .operands_at = offsetof(options, sources),
    .settings = settings,
    .options = own,
    .run = run,
};
