/*
 * test_exif.c - tl_exif_orientation: hand-made EXIF blocks, whole and damaged, and XMP
 * packets, with the answers that Pillow 13 gives to the same bytes.
 */
#include "testing.h"

#include <string.h>

#include "input/exif.h"

/* One entry of a directory: its value, and the bytes that the answer hangs on. */
typedef struct entry {
    uint16_t tag, type;
    uint32_t count;
    uint8_t value[4];
} entry;

static size_t put(uint8_t *to, bool big_endian, uint32_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        to[big_endian ? bytes - 1 - i : i] = (uint8_t)(value >> (8 * i));
    return bytes;
}

/* Values of entries are given in the order of bytes that big-endian wants. */
static size_t write_tiff(uint8_t *to, bool big_endian, const entry *entries, size_t n)
{
    uint8_t *at = to;
    memcpy(at, big_endian ? "MM" : "II", 2);
    at += 2;
    at += put(at, big_endian, 42, 2);
    at += put(at, big_endian, 8, 4);
    at += put(at, big_endian, (uint32_t)n, 2);
    for (size_t i = 0; i < n; i++) {
        at += put(at, big_endian, entries[i].tag, 2);
        at += put(at, big_endian, entries[i].type, 2);
        at += put(at, big_endian, entries[i].count, 4);
        if (big_endian || entries[i].type == 1) {
            memcpy(at, entries[i].value, 4);
        } else if (entries[i].type == 3) {
            put(at, false, (uint32_t)(entries[i].value[0] << 8 | entries[i].value[1]),
                2);
            put(at + 2, false,
                (uint32_t)(entries[i].value[2] << 8 | entries[i].value[3]), 2);
        } else {
            for (size_t b = 0; b < 4; b++)
                at[b] = entries[i].value[3 - b];
        }
        at += 4;
    }
    at += put(at, big_endian, 0, 4);
    return (size_t)(at - to);
}

static int orientation_of(const void *exif, size_t exif_bytes, const char *xmp)
{
    const tl_metadata metadata = {.exif = exif,
                                  .exif_bytes = exif_bytes,
                                  .xmp = (const uint8_t *)xmp,
                                  .xmp_bytes = xmp != NULL ? strlen(xmp) : 0};
    int orientation = -1;
    tl_error err = {0};
    if (tl_exif_orientation(&metadata, &orientation, &err) != TL_OK) {
        assert_non_null(strstr(err.text, "TIFF"));
        assert_int_equal(orientation, -1);
        return -1;
    }
    return orientation;
}

static int orientation_of_entries(bool big_endian, const entry *entries, size_t n)
{
    uint8_t tiff[256];
    return orientation_of(tiff, write_tiff(tiff, big_endian, entries, n), NULL);
}

static void all_eight_are_read_in_both_byte_orders(void **unused)
{
    (void)unused;
    for (uint8_t wanted = 0; wanted < 12; wanted++) {
        const entry e = {274, 3, 1, {0, wanted, 0, 0}};
        const int answer = wanted >= 1 && wanted <= 8 ? wanted : 1;
        assert_int_equal(orientation_of_entries(true, &e, 1), answer);
        assert_int_equal(orientation_of_entries(false, &e, 1), answer);
    }
}

static void other_types_of_numbers_are_read_too(void **unused)
{
    (void)unused;
    const struct {
        entry e;
        int wanted;
    } cases[] = {
        {{274, 4, 1, {0, 0, 0, 6}}, 6},     {{274, 13, 1, {0, 0, 0, 3}}, 3},
        {{274, 9, 1, {0, 0, 0, 5}}, 5},     {{274, 9, 1, {255, 255, 255, 251}}, 1},
        {{274, 11, 1, {0x40, 0, 0, 0}}, 2}, {{274, 11, 1, {0x40, 1, 0, 0}}, 1},
        {{274, 1, 1, {6, 0, 0, 0}}, 1}, /* a byte is no number to Pillow */
        {{274, 3, 2, {0, 8, 0, 6}}, 8}, /* the first of two */
        {{274, 99, 1, {0, 6, 0, 0}}, 1},    {{274, 3, 0, {0, 6, 0, 0}}, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int big_endian = 0; big_endian < 2; big_endian++) {
            const int got = orientation_of_entries(big_endian != 0, &cases[i].e, 1);
            if (got != cases[i].wanted)
                fail_msg("case %zu, %s: orientation %d, wanted %d", i,
                         big_endian ? "MM" : "II", got, cases[i].wanted);
        }
}

static void the_first_of_two_entries_counts(void **unused)
{
    (void)unused;
    const entry two[] = {{274, 3, 1, {0, 6, 0, 0}}, {274, 3, 1, {0, 3, 0, 0}}};
    assert_int_equal(orientation_of_entries(true, two, 2), 6);
    const entry unusable_first[] = {{274, 99, 1, {0, 6, 0, 0}},
                                    {274, 3, 1, {0, 3, 0, 0}}};
    assert_int_equal(orientation_of_entries(true, unusable_first, 2), 3);
}

static void a_rational_is_found_behind_the_directory(void **unused)
{
    (void)unused;
    uint8_t tiff[256];
    const entry e = {274, 5, 1, {0, 0, 0, 26}};
    size_t bytes = write_tiff(tiff, true, &e, 1);
    assert_int_equal(bytes, 26);
    bytes += put(tiff + bytes, true, 12, 4);
    bytes += put(tiff + bytes, true, 2, 4);
    assert_int_equal(orientation_of(tiff, bytes, NULL), 6);
    assert_int_equal(orientation_of(tiff, bytes - 1, NULL), 1); /* points outside */
    put(tiff + 30, true, 0, 4);
    assert_int_equal(orientation_of(tiff, bytes, NULL), 1);
}

static void an_entry_that_points_outside_ends_the_directory(void **unused)
{
    (void)unused;
    const entry ends[] = {{305, 2, 20, {0, 0, 255, 0}}, {274, 3, 1, {0, 6, 0, 0}}};
    assert_int_equal(orientation_of_entries(true, ends, 2), 1);
    /* One larger than the whole block is only passed over. */
    const entry skipped[] = {{305, 2, 90000, {0, 0, 255, 0}},
                             {274, 3, 1, {0, 6, 0, 0}}};
    assert_int_equal(orientation_of_entries(true, skipped, 2), 6);
}

static void every_cut_is_survived(void **unused)
{
    (void)unused;
    uint8_t tiff[256];
    const entry e[] = {{256, 4, 1, {0, 0, 1, 0}}, {274, 3, 1, {0, 6, 0, 0}}};
    const size_t bytes = write_tiff(tiff, true, e, 2);
    for (size_t cut = 0; cut <= bytes; cut++) {
        const int wanted = cut == 0 ? 1 : cut < 8 ? -1 : cut < 34 ? 1 : 6;
        const int got = orientation_of(tiff, cut, NULL);
        if (got != wanted)
            fail_msg("cut to %zu bytes: orientation %d, wanted %d", cut, got, wanted);
    }
}

static void the_name_in_front_may_stand_twice(void **unused)
{
    (void)unused;
    uint8_t block[256];
    memcpy(block, "Exif\0\0Exif\0\0", 12);
    const entry e = {274, 3, 1, {0, 6, 0, 0}};
    const size_t bytes = 12 + write_tiff(block + 12, false, &e, 1);
    assert_int_equal(orientation_of(block, bytes, NULL), 6);
    assert_int_equal(orientation_of(block + 6, bytes - 6, NULL), 6);
    assert_int_equal(orientation_of(block, 12, NULL), 1); /* and nothing behind it */
}

static void what_is_no_tiff_is_told(void **unused)
{
    (void)unused;
    assert_int_equal(orientation_of("no TIFF here", 12, NULL), -1);
    assert_int_equal(orientation_of("II+\0\0\0\0\0\0\0\0\0", 12, NULL), -1);
    assert_int_equal(orientation_of("MM\0*\0\0\0", 7, NULL), -1);
    assert_int_equal(orientation_of("II\0*\0\0\0\0", 8, NULL),
                     1); /* crooked but common */
}

static void xmp_speaks_when_exif_is_silent(void **unused)
{
    (void)unused;
    uint8_t tiff[256];
    const entry e = {274, 3, 1, {0, 6, 0, 0}}, other = {256, 3, 1, {0, 6, 0, 0}};
    const entry senseless = {274, 3, 1, {0, 9, 0, 0}};
    const char *xmp = "<rdf tiff:Orientation=\"8\"/>";
    assert_int_equal(orientation_of(NULL, 0, xmp), 8);
    assert_int_equal(orientation_of(tiff, write_tiff(tiff, true, &other, 1), xmp), 8);
    assert_int_equal(orientation_of(tiff, write_tiff(tiff, true, &e, 1), xmp), 6);
    assert_int_equal(orientation_of(tiff, write_tiff(tiff, true, &senseless, 1), xmp),
                     1);
    assert_int_equal(orientation_of(NULL, 0, "<tiff:Orientation>3</tiff:Orientation>"),
                     3);
    assert_int_equal(orientation_of(NULL, 0, "tiff:Orientation tiff:Orientation>4"), 4);
    assert_int_equal(orientation_of(NULL, 0, "tiff:Orientation=\"9\""), 1);
    assert_int_equal(orientation_of(NULL, 0, "tiff:Orientation=\""), 1);
    assert_int_equal(orientation_of(NULL, 0, "tiff:Orientation>"), 1);
    assert_int_equal(orientation_of(NULL, 0, "tiff:Orientation"), 1);
    assert_int_equal(orientation_of(NULL, 0, ""), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_eight_are_read_in_both_byte_orders),
        cmocka_unit_test(other_types_of_numbers_are_read_too),
        cmocka_unit_test(the_first_of_two_entries_counts),
        cmocka_unit_test(a_rational_is_found_behind_the_directory),
        cmocka_unit_test(an_entry_that_points_outside_ends_the_directory),
        cmocka_unit_test(every_cut_is_survived),
        cmocka_unit_test(the_name_in_front_may_stand_twice),
        cmocka_unit_test(what_is_no_tiff_is_told),
        cmocka_unit_test(xmp_speaks_when_exif_is_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
