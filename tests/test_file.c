/*
 * test_file.c - files read whole, files that appear whole or not at all, and paths.
 */
#include "testing.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/file.h"
#include "twinlens/alloc.h"

static test_folder folder;
static tl_arena *arena;

static int set_up(void **unused)
{
    (void)unused;
    folder = test_folder_create();
    arena = tl_arena_create();
    return arena == NULL;
}

static int tear_down(void **unused)
{
    (void)unused;
    tl_arena_destroy(arena);
    test_folder_remove(folder.path);
    return 0;
}

static const char *in_folder(const char *name)
{
    return tl_path_join(arena, folder.path, name);
}

static size_t count_files(void)
{
    DIR *stream = opendir(folder.path);
    assert_non_null(stream);
    size_t n = 0;
    while (readdir(stream) != NULL)
        n++;
    closedir(stream);
    return n;
}

/* Grows when a file was left open. */
static int next_descriptor(void)
{
    const int fd = open("/dev/null", O_RDONLY);
    assert_true(fd >= 0);
    close(fd);
    return fd;
}

static void assert_content(const char *path, const char *want)
{
    char *text = NULL;
    size_t bytes = 0;
    assert_int_equal(tl_file_read(path, arena, &text, &bytes, NULL), TL_OK);
    assert_int_equal(bytes, strlen(want));
    assert_string_equal(text, want);
}

/* ---- reading ---------------------------------------------------------------------- */

static void a_file_is_read_with_a_zero_behind_it(void **unused)
{
    (void)unused;
    static const size_t sizes[] = {0, 1, 64, 200001};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        static char content[200001];
        for (size_t k = 0; k < sizes[i]; k++)
            content[k] = (char)(k * 7 % 251); /* zeros among them */
        char *text = NULL;
        size_t bytes = 99;
        const char *path = test_file(&folder, "f", content, sizes[i]);
        assert_int_equal(tl_file_read(path, arena, &text, &bytes, NULL), TL_OK);
        assert_int_equal(bytes, sizes[i]);
        assert_memory_equal(text, content, sizes[i]);
        assert_int_equal(text[bytes], 0);
    }
}

static void what_cannot_be_read_is_named(void **unused)
{
    (void)unused;
    char *text = (char *)&folder;
    size_t bytes = 99;
    tl_error err = {0};
    assert_int_equal(tl_file_read("no/such/file", arena, &text, &bytes, &err),
                     TL_ERR_NOT_FOUND);
    assert_string_equal(err.text,
                        "no/such/file: cannot open: No such file or directory");
    assert_int_equal(tl_file_read(folder.path, arena, &text, &bytes, &err), TL_ERR_IO);
    assert_memory_equal(err.text, folder.path, strlen(folder.path));
    assert_non_null(strstr(err.text, ": is a folder, wanted a regular file"));
    assert_int_equal(tl_file_read("/dev/null", arena, &text, &bytes, &err), TL_ERR_IO);

    const char *path = test_file(&folder, "f", "text", 4);
    tl_arena *fresh = tl_arena_create();
    tl_alloc_fail_at(0);
    assert_int_equal(tl_file_read(path, fresh, &text, &bytes, &err), TL_ERR_NO_MEMORY);
    tl_alloc_fail_at(-1);
    assert_memory_equal(err.text, path, strlen(path));
    tl_arena_destroy(fresh);

    assert_ptr_equal(text, &folder);
    assert_int_equal(bytes, 99);
}

/* An alarm ends the test when something waits. */
static void only_regular_files_are_opened(void **unused)
{
    (void)unused;
    const char *fifo = in_folder("fifo"), *link = in_folder("link-to-fifo");
    const struct {
        const char *path, *want;
    } cases[] = {
        {fifo, "is a FIFO, wanted a regular file"},
        {link, "is a FIFO, wanted a regular file"},
        {folder.path, "is a folder, wanted a regular file"},
        {"/dev/zero", "is a device, wanted a regular file"},
    };
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(symlink("fifo", link), 0);
    const int descriptor = next_descriptor();
    alarm(20);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *path = cases[i].path, *copy = in_folder("copy-of-it");
        FILE *file = NULL;
        char *text = NULL;
        size_t bytes = 99;
        tl_error err[4] = {0};
        assert_int_equal(tl_file_open(path, &file, &bytes, &err[0]), TL_ERR_IO);
        assert_int_equal(tl_file_check(path, &err[1]), TL_ERR_IO);
        assert_int_equal(tl_file_read(path, arena, &text, &bytes, &err[2]), TL_ERR_IO);
        assert_int_equal(tl_file_link(path, copy, &err[3]), TL_ERR_IO);
        for (size_t k = 0; k < 4; k++) {
            assert_memory_equal(err[k].text, path, strlen(path));
            assert_string_equal(err[k].text + strlen(path) + 2, cases[i].want);
        }
        assert_null(file);
        assert_null(text);
        assert_int_equal(bytes, 99);
        assert_false(tl_file_exists(copy));
    }
    alarm(0);
    assert_int_equal(next_descriptor(), descriptor);
    assert_int_equal(remove(link), 0);
    assert_int_equal(remove(fifo), 0);
}

static void an_open_file_knows_its_size(void **unused)
{
    (void)unused;
    const char *path = test_file(&folder, "sized", "12345", 5);
    FILE *file = NULL;
    size_t bytes = 99;
    assert_int_equal(symlink("sized", in_folder("link-to-sized")), 0);
    assert_int_equal(tl_file_check(path, NULL), TL_OK);
    assert_int_equal(tl_file_open(in_folder("link-to-sized"), &file, &bytes, NULL),
                     TL_OK);
    assert_int_equal(bytes, 5);
    assert_int_equal(fgetc(file), '1');
    fclose(file);
    assert_int_equal(tl_file_check(in_folder("none"), NULL), TL_ERR_NOT_FOUND);
}

/* ---- writing ---------------------------------------------------------------------- */

static void a_file_appears_when_it_is_whole(void **unused)
{
    (void)unused;
    const char *path = in_folder("w");
    const size_t files = count_files(), live = tl_alloc_live();
    const int descriptor = next_descriptor();
    tl_file_writer writer = {0};
    assert_int_equal(tl_file_writer_open(&writer, path, NULL), TL_OK);
    assert_int_equal(tl_file_writer_put(&writer, "one ", 4, NULL), TL_OK);
    assert_int_equal(tl_file_writer_put(&writer, NULL, 0, NULL), TL_OK);
    assert_int_equal(tl_file_writer_put(&writer, "two", 3, NULL), TL_OK);
    assert_false(tl_file_exists(path));
    assert_int_equal(tl_file_writer_commit(&writer, NULL), TL_OK);
    tl_file_writer_abandon(&writer); /* does nothing */
    assert_content(path, "one two");
    assert_int_equal(count_files(), files + 1);

    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0644);

    assert_int_equal(tl_file_writer_open(&writer, path, NULL), TL_OK);
    assert_int_equal(tl_file_writer_put(&writer, "three", 5, NULL), TL_OK);
    assert_content(path, "one two");
    assert_int_equal(tl_file_writer_commit(&writer, NULL), TL_OK);
    assert_content(path, "three");
    assert_int_equal(count_files(), files + 1);
    assert_int_equal(next_descriptor(), descriptor);
    assert_int_equal(tl_alloc_live(), live);
    assert_int_equal(remove(path), 0);
}

static void an_abandoned_file_leaves_the_old_one(void **unused)
{
    (void)unused;
    const char *path = test_file(&folder, "old", "old", 3);
    const size_t files = count_files(), live = tl_alloc_live();
    const int descriptor = next_descriptor();
    tl_file_writer writer = {0};
    assert_int_equal(tl_file_writer_open(&writer, path, NULL), TL_OK);
    assert_int_equal(tl_file_writer_put(&writer, "new", 3, NULL), TL_OK);
    tl_file_writer_abandon(&writer);
    tl_file_writer_abandon(&writer);
    assert_content(path, "old");
    assert_int_equal(next_descriptor(), descriptor);
    assert_int_equal(count_files(), files);
    assert_int_equal(tl_alloc_live(), live);
}

enum { PIECES = 300000 };
static char drained[PIECES];
static volatile size_t n_drained;
static volatile sig_atomic_t n_alarms;
static int pipe_ends[2];

static void drain(int unused)
{
    (void)unused;
    const int code = errno;
    const ssize_t n =
        read(pipe_ends[0], drained + n_drained, sizeof drained - n_drained);
    if (n > 0)
        n_drained += (size_t)n;
    n_alarms++;
    errno = code;
}

/* A pipe that only the handler of an alarm empties: each write that fills it comes
 * back early, with a part of the bytes or interrupted. */
static void writes_cut_short_go_on(void **unused)
{
    (void)unused;
    static char data[PIECES];
    for (size_t i = 0; i < PIECES; i++)
        data[i] = (char)(i * i % 253);
    assert_int_equal(pipe(pipe_ends), 0);
    assert_int_equal(fcntl(pipe_ends[0], F_SETFL, O_NONBLOCK), 0);
    struct sigaction action = {.sa_handler = drain}, old; /* without SA_RESTART */
    assert_int_equal(sigaction(SIGALRM, &action, &old), 0);
    const struct itimerval often = {{0, 2000}, {0, 2000}}, never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &often, NULL);
    tl_file_writer writer = {.descriptor = pipe_ends[1], .path = (char[]){"pipe"}};
    const tl_status status = tl_file_writer_put(&writer, data, PIECES, NULL);
    setitimer(ITIMER_REAL, &never, NULL);
    sigaction(SIGALRM, &old, NULL);
    assert_int_equal(status, TL_OK);
    assert_true(n_alarms > 0);
    close(pipe_ends[1]);
    while (n_drained < PIECES) {
        const size_t before = n_drained;
        drain(0);
        assert_true(n_drained > before);
    }
    close(pipe_ends[0]);
    assert_memory_equal(drained, data, PIECES);
}

static void what_cannot_be_written_is_named(void **unused)
{
    (void)unused;
    const size_t files = count_files(), live = tl_alloc_live();
    tl_file_writer writer = {0};
    tl_error err = {0};
    assert_int_equal(tl_file_writer_open(&writer, "no/such/folder/f", &err),
                     TL_ERR_NOT_FOUND);
    assert_string_equal(err.text,
                        "no/such/folder/f: cannot write: No such file or directory");
    assert_null(writer.path);
    tl_file_writer_abandon(&writer);

    /* A full disk, played by a limit on the size of a file. */
    const char *path = in_folder("full");
    struct rlimit limit, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    small = limit;
    small.rlim_cur = 10;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(tl_file_writer_open(&writer, path, NULL), TL_OK);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const tl_status status = tl_file_writer_put(&writer, "hello, world", 12, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(status, TL_ERR_IO);
    assert_memory_equal(err.text, path, strlen(path));
    assert_non_null(strstr(err.text, ": cannot write: File too large"));
    tl_file_writer_abandon(&writer);

    /* A name that is a folder's. */
    assert_int_equal(tl_file_writer_open(&writer, folder.path, NULL), TL_OK);
    assert_int_equal(tl_file_writer_commit(&writer, &err), TL_ERR_IO);
    assert_memory_equal(err.text, folder.path, strlen(folder.path));
    tl_file_writer_abandon(&writer);
    assert_int_equal(count_files(), files);
    assert_int_equal(tl_alloc_live(), live);
}

static void no_failing_request_leaves_a_trace(void **unused)
{
    (void)unused;
    const char *path = in_folder("m");
    const size_t files = count_files(), live = tl_alloc_live();
    for (int n = 0, hit = 1; hit; n++) {
        tl_file_writer writer = {0};
        tl_alloc_fail_at(n);
        const tl_status status = tl_file_writer_open(&writer, path, NULL);
        hit = tl_alloc_fault_hit();
        tl_alloc_fail_at(-1);
        assert_int_equal(status, hit ? TL_ERR_NO_MEMORY : TL_OK);
        assert_int_equal(writer.path == NULL, hit);
        tl_file_writer_abandon(&writer);
        assert_int_equal(tl_alloc_live(), live);
        assert_int_equal(count_files(), files);
    }
}

/* ---- folders and paths ------------------------------------------------------------ */

static void folders_are_made_once(void **unused)
{
    (void)unused;
    const char *path = in_folder("sub"), *file = test_file(&folder, "file", "", 0);
    tl_error err = {0};
    assert_false(tl_file_exists(path));
    assert_int_equal(tl_file_make_folder(path, &err), TL_OK);
    assert_int_equal(tl_file_make_folder(path, &err), TL_OK);
    assert_true(tl_file_exists(path));
    assert_true(tl_file_is_folder(path));
    assert_true(tl_file_exists(file));
    assert_false(tl_file_is_folder(file));
    assert_false(tl_file_is_folder("no/such/folder"));
    assert_int_equal(tl_file_make_folder(file, &err), TL_ERR_IO);
    assert_non_null(strstr(err.text, "file: is a file, a folder was wanted"));
    assert_int_equal(tl_file_make_folder("no/such/folder", &err), TL_ERR_NOT_FOUND);
    assert_memory_equal(err.text, "no/such/folder: cannot make", 27);
}

static void a_folder_is_empty_or_not_there(void **unused)
{
    (void)unused;
    const char *path = in_folder("new");
    tl_error err = {0};
    assert_int_equal(tl_file_check_empty(path, false, &err), TL_OK);
    assert_int_equal(tl_file_make_folder(path, &err), TL_OK);
    assert_int_equal(tl_file_check_empty(path, false, &err), TL_OK);
    test_file(&folder, "new/.hidden", "", 0);
    assert_int_equal(tl_file_check_empty(path, false, &err), TL_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "new: is not empty; wanted a new folder"));
    assert_null(strstr(err.text, "--force"));
    assert_int_equal(tl_file_check_empty(path, true, &err), TL_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "wanted a new folder, or --force to replace"));
}

static void a_link_is_the_file_and_not_the_link_to_it(void **unused)
{
    (void)unused;
    const char *link = in_folder("link"), *copy = in_folder("copy");
    char *text = NULL;
    size_t bytes = 0;
    tl_error err = {0};
    test_file(&folder, "original", "one", 3);
    test_file(&folder, "copy", "another", 7);
    assert_int_equal(symlink("original", link), 0);
    for (int time = 0; time < 2; time++) { /* the second time it is there */
        assert_int_equal(tl_file_link(link, copy, &err), TL_OK);
        struct stat info;
        assert_int_equal(lstat(copy, &info), 0);
        assert_true(S_ISREG(info.st_mode));
        assert_int_equal(tl_file_read(copy, arena, &text, &bytes, &err), TL_OK);
        assert_string_equal(text, "one");
    }
    assert_int_equal(tl_file_link(link, in_folder("no/such/copy"), &err),
                     TL_ERR_NOT_FOUND);
    assert_int_equal(tl_file_link(in_folder("none"), copy, &err), TL_ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "none: cannot open"));
}

/* Another file system has to have a copy; /dev/shm mostly is one. */
static void what_cannot_be_linked_is_copied(void **unused)
{
    (void)unused;
    char far_away[] = "/dev/shm/twinlens-XXXXXX";
    const int descriptor = mkstemp(far_away);
    if (descriptor < 0)
        skip();
    assert_int_equal(write(descriptor, "far", 3), 3);
    close(descriptor);
    char *text = NULL;
    size_t bytes = 0;
    const char *near = in_folder("near");
    const tl_status status = tl_file_link(far_away, near, NULL);
    unlink(far_away);
    assert_int_equal(status, TL_OK);
    assert_int_equal(tl_file_read(near, arena, &text, &bytes, NULL), TL_OK);
    assert_string_equal(text, "far");
}

static void paths_are_joined_and_split(void **unused)
{
    (void)unused;
    static const struct {
        const char *folder, *name, *want;
    } joined[] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"},    {"/", "b", "/b"},
        {"", "b", "b"},    {"a", "/b/c", "/b/c"}, {"a/b", "", "a/b/"},
    };
    for (size_t i = 0; i < sizeof joined / sizeof *joined; i++)
        assert_string_equal(tl_path_join(arena, joined[i].folder, joined[i].name),
                            joined[i].want);
    static const struct {
        const char *path, *want;
    } folders[] = {
        {"a/b", "a"}, {"a/b/c", "a/b"}, {"a", "."}, {"/a", "/"}, {"", "."}, {"a/", "a"},
    };
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        assert_string_equal(tl_path_folder(arena, folders[i].path), folders[i].want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_read_with_a_zero_behind_it),
        cmocka_unit_test(what_cannot_be_read_is_named),
        cmocka_unit_test(only_regular_files_are_opened),
        cmocka_unit_test(an_open_file_knows_its_size),
        cmocka_unit_test(a_file_appears_when_it_is_whole),
        cmocka_unit_test(an_abandoned_file_leaves_the_old_one),
        cmocka_unit_test(writes_cut_short_go_on),
        cmocka_unit_test(what_cannot_be_written_is_named),
        cmocka_unit_test(no_failing_request_leaves_a_trace),
        cmocka_unit_test(folders_are_made_once),
        cmocka_unit_test(a_folder_is_empty_or_not_there),
        cmocka_unit_test(a_link_is_the_file_and_not_the_link_to_it),
        cmocka_unit_test(what_cannot_be_linked_is_copied),
        cmocka_unit_test(paths_are_joined_and_split),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
