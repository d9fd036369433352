/*
 * test_image.c - tl_image_read against Pillow: tests/data/images/expected.tsv tells
 * for each file there what Pillow 13 reads from it, or that it refuses it.
 *
 *     test_image --ppm FILE...     writes each file as PPM, for image_parity.py
 */
#include "testing.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/sha256.h"
#include "twinlens/alloc.h"
#include "twinlens/image.h"

static const char images[] = TWINLENS_SOURCE_DIR "/tests/data/images";

/* The path, a colon, and one line that says something. */
static void check_error_text(const char *path, const tl_error *err)
{
    const size_t n = strlen(path);
    if (strncmp(err->text, path, n) != 0 || strncmp(err->text + n, ": ", 2) != 0 ||
        err->text[n + 2] == '\0' || strchr(err->text, '\n') != NULL)
        fail_msg("error for %s reads '%s'", path, err->text);
}

static void check_pixels(const char *path, const tl_image *image, tl_arena *arena)
{
    char *wanted = NULL, *wanted_path = tl_arena_alloc(arena, strlen(path) + 5, 1);
    size_t bytes = 0;
    tl_error err = {0};
    snprintf(wanted_path, strlen(path) + 5, "%s.rgb", path);
    if (tl_file_read(wanted_path, arena, &wanted, &bytes, &err) != TL_OK)
        fail_msg("%s", err.text);
    assert_int_equal(bytes, image->width * image->height * 3);
    for (size_t i = 0; i < bytes; i++) {
        const int difference = (int)image->rgb[i] - (int)(uint8_t)wanted[i];
        if (abs(difference) > 1)
            fail_msg("%s: byte %zu is %d, wanted %d within 1", path, i, image->rgb[i],
                     (uint8_t)wanted[i]);
    }
}

static void check_hash(const char *path, const tl_image *image, const char *wanted)
{
    char got[TL_SHA256_HEX];
    tl_sha256 hash;
    tl_sha256_init(&hash);
    tl_sha256_update(&hash, image->rgb, image->width * image->height * 3);
    tl_sha256_hex(&hash, got);
    if (strcmp(got, wanted) != 0)
        fail_msg("%s: pixels have the hash %s, Pillow's have %s", path, got, wanted);
}

static void check_row(const char *name, size_t width, size_t height, const char *wanted,
                      const char *alpha)
{
    tl_arena *arena = tl_arena_create();
    const char *path = tl_path_join(arena, images, name);
    tl_image image = {0};
    tl_error err = {0};
    const tl_status status = tl_image_read(path, arena, &image, &err);
    if (strcmp(wanted, "refused") == 0) {
        if (status != TL_ERR_FORMAT && status != TL_ERR_UNSUPPORTED)
            fail_msg("%s: %s, Pillow refuses it", path, tl_status_name(status));
        check_error_text(path, &err);
        assert_null(image.rgb);
    } else {
        if (status != TL_OK)
            fail_msg("%s", err.text);
        if (image.width != width || image.height != height)
            fail_msg("%s: is %zux%zu, wanted %zux%zu", path, image.width, image.height,
                     width, height);
        if (image.is_transparent != (strcmp(alpha, "transparent") == 0))
            fail_msg("%s: is_transparent is %d, wanted '%s'", path,
                     image.is_transparent, alpha);
        if (strcmp(wanted, "pixels") == 0)
            check_pixels(path, &image, arena);
        else
            check_hash(path, &image, wanted);
    }
    tl_arena_destroy(arena);
}

static void every_file_of_the_table_is_read_as_by_pillow(void **unused)
{
    (void)unused;
    tl_arena *arena = tl_arena_create();
    FILE *file = fopen(tl_path_join(arena, images, "expected.tsv"), "r");
    assert_non_null(file);
    char line[512];
    assert_non_null(fgets(line, sizeof line, file)); /* the heading */
    size_t n_rows = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        char name[256], wanted[TL_SHA256_HEX], alpha[16];
        size_t width, height;
        assert_int_equal(sscanf(line, "%255s %zu %zu %64s %15s", name, &width, &height,
                                wanted, alpha),
                         5);
        check_row(name, width, height, wanted, alpha);
        n_rows++;
    }
    fclose(file);
    assert_true(n_rows > 100);
    tl_arena_destroy(arena);
}

static void a_refusal_says_why(void **unused)
{
    (void)unused;
    static const struct {
        const char *name, *part;
        tl_status status;
    } cases[] = {
        {"not-there.png", "No such file", TL_ERR_NOT_FOUND},
        {"", "", TL_ERR_IO}, /* the folder */
        {"synthetic-nothing.png", "empty file", TL_ERR_UNSUPPORTED},
        {"synthetic-text.png", "6e 6f 20", TL_ERR_UNSUPPORTED},
        {"synthetic-too-large.png", "32768x8193", TL_ERR_UNSUPPORTED},
        {"synthetic-no-size.png", "0x5", TL_ERR_FORMAT},
        {"huge_eXIf_chunk.png", "eXIf has 1073741823 bytes", TL_ERR_FORMAT},
        {"badadler.png", "incorrect data check", TL_ERR_FORMAT},
        {"xhdn0g08.png", "checksum", TL_ERR_FORMAT},
        {"synthetic-exif-no-tiff.png", "TIFF", TL_ERR_FORMAT},
        {"synthetic-profile-bad.png", "hexadecimal", TL_ERR_FORMAT},
        {"synthetic-cut.webp", "truncated", TL_ERR_FORMAT},
        {"synthetic-frame-outside.webp", "outside its canvas", TL_ERR_FORMAT},
        {"peacock.default.truncated.jpeg", "after row 14 of 75", TL_ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tl_arena *arena = tl_arena_create();
        const char *path = tl_path_join(arena, images, cases[i].name);
        tl_image image = {0};
        tl_error err = {0};
        assert_int_equal(tl_image_read(path, arena, &image, &err), cases[i].status);
        check_error_text(path, &err);
        if (strstr(err.text, cases[i].part) == NULL)
            fail_msg("'%s' does not say '%s'", err.text, cases[i].part);
        tl_arena_destroy(arena);
    }
    assert_int_equal(tl_image_read(NULL, NULL, NULL, NULL), TL_ERR_ARGUMENT);
}

/* Every prefix of a file is either refused or an image of the whole one's size. */
static void every_cut_is_survived(void **unused)
{
    (void)unused;
    static const char *const names[] = {"basi2c08.png",
                                        "synthetic-profile-7.png",
                                        "synthetic-small-first-frame.png",
                                        "synthetic-frame-data-only.png",
                                        "synthetic-progressive-exif-3.jpg",
                                        "synthetic-cmyk.jpg",
                                        "synthetic-animated.webp",
                                        "synthetic-rgba-interlaced.png",
                                        "synthetic-palette-alpha.png",
                                        "synthetic-animated-alpha.webp",
                                        "hippopotamus.lossy.webp"};
    char path[] = "/tmp/twinlens-cut-XXXXXX";
    const int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        tl_arena *whole = tl_arena_create();
        char *text = NULL;
        size_t bytes = 0;
        const char *source = tl_path_join(whole, images, names[i]);
        tl_image wanted = {0};
        assert_int_equal(tl_file_read(source, whole, &text, &bytes, NULL), TL_OK);
        assert_int_equal(tl_image_read(source, whole, &wanted, NULL), TL_OK);
        for (size_t cut = 0; cut < bytes; cut++) {
            tl_arena *arena = tl_arena_create();
            assert_int_equal(ftruncate(descriptor, 0), 0);
            assert_int_equal(pwrite(descriptor, text, cut, 0), (ssize_t)cut);
            tl_image image = {0};
            tl_error err = {0};
            if (tl_image_read(path, arena, &image, &err) != TL_OK)
                check_error_text(path, &err);
            else
                assert_int_equal(image.width * image.height,
                                 wanted.width * wanted.height);
            tl_arena_destroy(arena);
        }
        tl_arena_destroy(whole);
    }
    close(descriptor);
    unlink(path);
}

static void any_failed_allocation_is_told_and_leaks_nothing(void **unused)
{
    (void)unused;
    static const char *const names[] = {"basn3p02.png",
                                        "basi2c08.png",
                                        "synthetic-profile-7.png",
                                        "synthetic-xmp-8-packed.png",
                                        "split_fdat.png",
                                        "orientation_rectangle.jpg",
                                        "synthetic-cmyk.jpg",
                                        "synthetic-animated.webp",
                                        "synthetic-alpha.webp",
                                        "synthetic-rgba-interlaced.png",
                                        "synthetic-xmp-8.webp"};
    tl_arena *names_arena = tl_arena_create();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *path = tl_path_join(names_arena, images, names[i]);
        const size_t live = tl_alloc_live();
        tl_status status = TL_ERR_NO_MEMORY;
        for (long long n = 0; status != TL_OK; n++) {
            assert_true(n < 1000);
            tl_arena *arena = tl_arena_create();
            tl_image image = {0};
            tl_error err = {0};
            tl_alloc_fail_at(n);
            status = tl_image_read(path, arena, &image, &err);
            tl_alloc_fail_at(-1);
            if (status != TL_OK) {
                if (status != TL_ERR_NO_MEMORY)
                    fail_msg("allocation %lld fails: %s", n, err.text);
                check_error_text(path, &err);
                assert_null(image.rgb);
            }
            tl_arena_destroy(arena);
            assert_int_equal(tl_alloc_live(), live);
        }
    }
    tl_arena_destroy(names_arena);
}

static size_t read_all_under(const char *folder, size_t *n_refused)
{
    DIR *directory = opendir(folder);
    if (directory == NULL)
        return 0;
    size_t n_files = 0;
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        tl_arena *arena = tl_arena_create();
        const char *path = tl_path_join(arena, folder, entry->d_name);
        if (tl_file_is_folder(path)) {
            n_files += read_all_under(path, n_refused);
        } else {
            tl_image image = {0};
            tl_error err = {0};
            n_files++;
            if (tl_image_read(path, arena, &image, &err) != TL_OK) {
                check_error_text(path, &err);
                *n_refused += 1;
            } else {
                assert_true(image.width > 0 && image.height > 0);
            }
        }
        tl_arena_destroy(arena);
    }
    closedir(directory);
    return n_files;
}

static void the_shared_images_are_read_or_refused(void **unused)
{
    (void)unused;
    static const char folder[] = TWINLENS_SOURCE_DIR "/../shared/data/images";
    if (!tl_file_is_folder(folder)) {
        print_message("skipped: no ../shared\n");
        skip();
    }
    size_t n_refused = 0;
    const size_t n_files = read_all_under(folder, &n_refused);
    print_message("%zu files, %zu refused\n", n_files, n_refused);
    assert_true(n_files > 0 && n_refused < n_files);
}

static int write_ppm(const char *path)
{
    tl_arena *arena = tl_arena_create();
    tl_image image = {0};
    tl_error err = {0};
    const tl_status status = tl_image_read(path, arena, &image, &err);
    if (status == TL_OK) {
        printf("P6\n%zu %zu\n255\n", image.width, image.height);
        fwrite(image.rgb, 3, image.width * image.height, stdout);
    } else {
        fprintf(stderr, "%s\n", err.text);
    }
    tl_arena_destroy(arena);
    return status == TL_OK ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "--ppm") == 0) {
        int failed = 0;
        for (int i = 2; i < argc; i++)
            failed |= write_ppm(argv[i]);
        return failed;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_file_of_the_table_is_read_as_by_pillow),
        cmocka_unit_test(a_refusal_says_why),
        cmocka_unit_test(every_cut_is_survived),
        cmocka_unit_test(any_failed_allocation_is_told_and_leaks_nothing),
        cmocka_unit_test(the_shared_images_are_read_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
