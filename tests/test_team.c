/* SPDX-License-Identifier: MIT
 *
 * test_team.c - a study by several processes ends with the rows and files of one by a
 * process alone, also when one of them is killed and the study goes on with another number.
 * The ranks are children of the test, and what carries their messages are sockets.
 */
#define _GNU_SOURCE /* MAP_ANONYMOUS */
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "study_rows.h"
#include "twinlens/circuit.h"
#include "twinlens/study.h"

enum { MOST_RANKS = 5, COPIES = 4 };

/* A rank's way to its others: of rank 0 to each, of another to rank 0. */
typedef struct carrier {
    size_t rank;
    int sockets[MOST_RANKS];
    size_t n_messages, last; /* after so many the process is gone; 0: it stays */
} carrier;

/* How ranks ended. */
typedef struct ending {
    tl_status status[MOST_RANKS];
    tl_error err[MOST_RANKS];
    size_t n_messages[MOST_RANKS];
} ending;

/* What a team does. */
typedef struct work {
    size_t n_ranks;
    size_t killed, last; /* rank that is killed, after so many messages; last 0: none is */
    size_t odd;          /* rank that is told something else, `seed`; 0: none is */
    uint64_t seed;
    tl_bp_search search;
} work;

static ending *ended;
static test_folder root;
static char *wanted[2]; /* rows of the study of a process alone, by search */
static char alone[2][300], dataset[300];

/* ---- messages ---------------------------------------------------------------------- */

static void count(carrier *c)
{
    ended->n_messages[c->rank] = ++c->n_messages;
    if (c->n_messages == c->last)
        raise(SIGKILL);
}

static tl_status send_bytes(void *user, size_t to, const void *bytes, size_t n,
                            tl_error *err)
{
    carrier *c = user;
    count(c);
    for (const char *at = bytes; n > 0;) {
        const ssize_t sent = send(c->sockets[to], at, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return tl_fail(err, TL_ERR_IO, "rank %zu is gone", to);
        at += sent;
        n -= (size_t)sent;
    }
    return TL_OK;
}

static tl_status receive_bytes(void *user, size_t from, void *bytes, size_t n,
                               tl_error *err)
{
    carrier *c = user;
    count(c);
    for (char *at = bytes; n > 0;) {
        const ssize_t got = recv(c->sockets[from], at, n, 0);
        if (got <= 0)
            return tl_fail(err, TL_ERR_IO, "rank %zu is gone", from);
        at += got;
        n -= (size_t)got;
    }
    return TL_OK;
}

/* ---- studies ----------------------------------------------------------------------- */

/* The small dataset several times, so that there are some blocks of pairs: every id of a
 * row gets the number of its copy. */
static void make_dataset(void)
{
    static const char from[] = "tests/data/qwen2vl-tiny/goldens",
                      *const keys[] = {"\"id\": \"", "\"pair\": \"", "\"cf\": \""};
    char path[400], line[1000], images[400];
    snprintf(dataset, sizeof dataset, "%s/data", root.path);
    assert_int_equal(mkdir(dataset, 0777), 0);
    snprintf(path, sizeof path, "%s/images", dataset);
    snprintf(images, sizeof images, "%s/%s/images", TWINLENS_SOURCE_DIR, from);
    assert_int_equal(symlink(images, path), 0);
    snprintf(path, sizeof path, "%s/dataset.jsonl", dataset);
    FILE *out = fopen(path, "w");
    snprintf(path, sizeof path, "%s/dataset.jsonl", from);
    FILE *in = fopen(path, "r");
    assert_true(in != NULL && out != NULL);
    for (size_t copy = 0; copy < COPIES; copy++, rewind(in))
        while (fgets(line, sizeof line, in) != NULL) {
            const char *at = line;
            for (size_t k = 0; k < 3; k++) {
                const char *value = strstr(at, keys[k]);
                assert_non_null(value);
                value += strlen(keys[k]);
                fprintf(out, "%.*s%zu.", (int)(value - at), at, copy);
                at = value;
            }
            fputs(at, out);
        }
    fclose(in);
    assert_int_equal(fclose(out), 0);
    snprintf(path, sizeof path, "%s/task.json", dataset);
    out = fopen(path, "w");
    fprintf(out, "{\"labels\": [\"1\", \"2\", \"3\", \"4\"]}\n");
    assert_int_equal(fclose(out), 0);
}

static tl_settings settings_of(const char *folder, tl_bp_search search)
{
    tl_settings s;
    tl_settings_init(&s);
    s.model = "tests/data/qwen2vl-tiny/checkpoint";
    s.dataset = dataset;
    s.out = folder;
    s.threads = 1;
    s.keep = TL_KEEP_ALL;
    s.fractions = "0,0.1,0.5";
    s.bp_grid = TL_BP_PAPER;
    s.bp_search = (int)search;
    s.ablate = search == TL_BP_HALVING ? TL_ABLATE_MEAN : TL_ABLATE_COUNTERFACTUAL;
    s.pictures = 2;
    s.validate = 1;
    s.rand_draws = s.inter_draws = 2;
    return s;
}

static void run_rank(const char *folder, const work *w, size_t rank,
                     int (*pairs)[2])
{
    carrier c = {.rank = rank, .last = rank == w->killed ? w->last : 0};
    for (size_t r = 1; r < w->n_ranks; r++) /* pairs[r]: an end of rank 0, one of r */
        for (size_t end = 0; end < 2; end++)
            if (rank == (end == 0 ? 0 : r))
                c.sockets[end == 0 ? r : 0] = pairs[r][end];
            else
                close(pairs[r][end]);
    const tl_team team = {.rank = rank,
                          .n_ranks = w->n_ranks,
                          .send = send_bytes,
                          .receive = receive_bytes,
                          .user = &c};
    tl_settings s = settings_of(folder, w->search);
    if (w->odd > 0 && rank == w->odd)
        s.seed = w->seed;
    ended->status[rank] = tl_study_run_team(&s, &team, NULL, NULL, &ended->err[rank]);
    _exit(0);
}

/* Returns when all ranks have ended; whether one was killed. */
static bool run_team(const char *folder, const work *w)
{
    int pairs[MOST_RANKS][2];
    bool killed = false;
    *ended = (ending){0};
    for (size_t r = 1; r < w->n_ranks; r++)
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[r]), 0);
    fflush(NULL);
    for (size_t r = 0; r < w->n_ranks; r++) {
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            run_rank(folder, w, r, pairs);
    }
    for (size_t r = 1; r < w->n_ranks; r++) {
        close(pairs[r][0]);
        close(pairs[r][1]);
    }
    for (size_t r = 0; r < w->n_ranks; r++) {
        int how = 0;
        assert_true(wait(&how) > 0);
        killed = killed || WIFSIGNALED(how);
        if (WIFSIGNALED(how))
            assert_int_equal(WTERMSIG(how), SIGKILL);
    }
    return killed;
}

static void expect_all_well(const work *w)
{
    for (size_t r = 0; r < w->n_ranks; r++)
        if (ended->status[r] != TL_OK)
            fail_msg("rank %zu of %zu: %s", r, w->n_ranks, ended->err[r].text);
}

static const char *folder_of(const char *name, size_t number)
{
    static char folder[300];
    snprintf(folder, sizeof folder, "%s/%s-%zu", root.path, name, number);
    return folder;
}

static void expect_same_study(const char *folder, tl_bp_search search)
{
    static const char *const names[] = {"scores.text.safetensors",
                                        "scores.image.safetensors"};
    expect_same_rows(wanted[search], folder);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        expect_same_file(alone[search], folder, names[i]);
}

/* ---- tests ------------------------------------------------------------------------- */

static int study_alone(void **unused)
{
    (void)unused;
    ended = mmap(NULL, sizeof *ended, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(ended, MAP_FAILED);
    root = test_folder_create();
    make_dataset();
    for (size_t search = 0; search < 2; search++) {
        tl_error err = {0};
        snprintf(alone[search], sizeof *alone, "%s/alone-%zu", root.path, search);
        const tl_settings s = settings_of(alone[search], (tl_bp_search)search);
        if (tl_study_run(&s, NULL, NULL, &err) != TL_OK)
            fail_msg("%s", err.text);
        wanted[search] = rows_of(alone[search]);
    }
    assert_string_not_equal(wanted[TL_BP_FULL], wanted[TL_BP_HALVING]);
    assert_non_null(strstr(wanted[TL_BP_HALVING], "-0")); /* cells that are not run */
    return 0;
}

static int remove_all(void **unused)
{
    (void)unused;
    free(wanted[0]);
    free(wanted[1]);
    munmap(ended, sizeof *ended);
    test_folder_remove(root.path);
    return 0;
}

static void a_team_finds_what_one_finds(void **unused)
{
    (void)unused;
    static const size_t sizes[] = {1, 2, 3, 5};
    for (size_t search = 0; search < 2; search++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i += 1 + search) {
            const work w = {.n_ranks = sizes[i], .search = (tl_bp_search)search};
            const char *folder = folder_of(search == 0 ? "full" : "halving", sizes[i]);
            assert_false(run_team(folder, &w));
            expect_all_well(&w);
            expect_same_study(folder, w.search);
        }
}

/* Rank 0, another rank; at its first messages, in the middle, at its last. Everybody else
 * ends by himself, and what was done is gone on with by other numbers of ranks. */
static void a_killed_rank_ends_the_team_and_no_work(void **unused)
{
    (void)unused;
    const char *whole = folder_of("counted", 0);
    size_t n_messages[MOST_RANKS];
    run_team(whole, &(work){.n_ranks = 3});
    memcpy(n_messages, ended->n_messages, sizeof n_messages);
    assert_true(n_messages[0] > 100 && n_messages[2] > 50);
    for (size_t killed = 0; killed < 3; killed += 2)
        for (size_t part = 0; part <= 3; part++) {
            const size_t last = 1 + part * (n_messages[killed] - 1) / 3;
            const char *folder = folder_of("killed", 10 * killed + part);
            work w = {.n_ranks = 3, .killed = killed, .last = last};
            assert_true(run_team(folder, &w));
            for (size_t r = 0; r < 3; r++)
                assert_true(r == killed || part == 3 || ended->status[r] == TL_ERR_IO);
            w = (work){.n_ranks = part % 2 == 0 ? 2 : 1};
            assert_false(run_team(folder, &w));
            expect_all_well(&w);
            expect_same_study(folder, TL_BP_FULL);
        }
}

static void a_finished_study_is_left_alone(void **unused)
{
    (void)unused;
    const work w = {.n_ranks = 3};
    const char *folder = folder_of("again", 0);
    run_team(folder, &w);
    expect_all_well(&w);
    run_team(folder, &w);
    expect_all_well(&w);
    assert_true(ended->n_messages[0] < 60);
    expect_same_study(folder, TL_BP_FULL);
}

/* All ranks leave with the error of the one that has it, and its number. */
static void ranks_that_differ_are_refused(void **unused)
{
    (void)unused;
    const work w = {.n_ranks = 3, .odd = 2, .seed = 7};
    run_team(folder_of("odd", 0), &w);
    for (size_t r = 0; r < 3; r++) {
        assert_int_equal(ended->status[r], TL_ERR_DATA);
        assert_non_null(strstr(ended->err[r].text, "rank 2: "));
        assert_non_null(strstr(ended->err[r].text, "seed"));
    }
}

static void a_team_that_cannot_be_is_refused(void **unused)
{
    (void)unused;
    const tl_settings s = settings_of(folder_of("none", 0), TL_BP_FULL);
    tl_error err = {0};
    tl_team team = {.rank = 2, .n_ranks = 2};
    assert_int_equal(tl_study_run_team(&s, &team, NULL, NULL, &err), TL_ERR_ARGUMENT);
    assert_string_equal(err.text, "rank 2 of a team of 2; wanted 0 to 1");
    team = (tl_team){.rank = 0, .n_ranks = 2, .send = send_bytes};
    assert_int_equal(tl_study_run_team(&s, &team, NULL, NULL, &err), TL_ERR_ARGUMENT);
    assert_string_equal(err.text, "a team of 2 that cannot receive");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_team_finds_what_one_finds),
        cmocka_unit_test(a_killed_rank_ends_the_team_and_no_work),
        cmocka_unit_test(a_finished_study_is_left_alone),
        cmocka_unit_test(ranks_that_differ_are_refused),
        cmocka_unit_test(a_team_that_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, study_alone, remove_all);
}
