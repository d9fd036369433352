/*
 * test_sha256.c - the examples of FIPS 180-4, and the padding at every length.
 */
#include "testing.h"

#include "base/sha256.c" // NOLINT: both of its ways are tested

static void hash_in_pieces(const void *data, size_t bytes, size_t piece,
                           char hex[TL_SHA256_HEX])
{
    tl_sha256 hash;
    tl_sha256_init(&hash);
    for (size_t at = 0; at < bytes; at += piece)
        tl_sha256_update(&hash, (const char *)data + at,
                         bytes - at < piece ? bytes - at : piece);
    tl_sha256_hex(&hash, hex);
}

static void the_standards_examples_come_out(void **unused)
{
    (void)unused;
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmno"
         "ijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
         "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t piece = 1; piece < 130; piece += 7) {
            char hex[TL_SHA256_HEX];
            hash_in_pieces(cases[i].text, strlen(cases[i].text), piece, hex);
            assert_string_equal(hex, cases[i].want);
        }
}

static void a_million_letters_come_out(void **unused)
{
    (void)unused;
    static char letters[1000000];
    char hex[TL_SHA256_HEX];
    memset(letters, 'a', sizeof letters);
    hash_in_pieces(letters, sizeof letters, 4099, hex);
    assert_string_equal(
        hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/* The hash of all hashes of 0, 1, ... 299 bytes i: @source CPython's hashlib. */
static void every_length_is_padded(void **unused)
{
    (void)unused;
    unsigned char bytes[300];
    char hex[TL_SHA256_HEX];
    tl_sha256 all;
    tl_sha256_init(&all);
    for (size_t n = 0; n < sizeof bytes; n++) {
        hash_in_pieces(bytes, n, 300, hex);
        tl_sha256_update(&all, hex, 64);
        bytes[n] = (unsigned char)n;
    }
    tl_sha256_hex(&all, hex);
    assert_string_equal(
        hex, "ff4223406fc6473b721b409cbe70bbeabc0c8d0d0f55c370497cc0c25606895f");
}

static void a_file_is_mixed_in(void **unused)
{
    (void)unused;
    const test_folder folder = test_folder_create();
    static char letters[200000]; /* more than is read at once */
    memset(letters, 'b', sizeof letters);
    const char *path = test_file(&folder, "file", letters + 3, sizeof letters - 3);
    char want[TL_SHA256_HEX], got[TL_SHA256_HEX];
    hash_in_pieces(letters, sizeof letters, 1000, want);
    tl_sha256 hash;
    tl_sha256_init(&hash);
    tl_sha256_update(&hash, "bbb", 3);
    assert_int_equal(tl_sha256_file(&hash, path, NULL), TL_OK);
    tl_sha256_hex(&hash, got);
    assert_string_equal(got, want);

    tl_error err = {0};
    assert_int_equal(tl_sha256_file(&hash, "no/such/file", &err), TL_ERR_NOT_FOUND);
    assert_memory_equal(err.text, "no/such/file: cannot open", 25);
    assert_int_equal(tl_sha256_file(&hash, folder.path, &err), TL_ERR_IO);
    assert_memory_equal(err.text, folder.path, strlen(folder.path));
    test_folder_remove(folder.path);
}

/* Block after block from a state that is nobody's. */
static void both_ways_are_the_same(void **unused)
{
    (void)unused;
#ifdef HAS_INSTRUCTIONS
    if (!has_instructions()) {
        printf("skipped: this processor has no instructions for SHA-256\n");
        skip();
    }
    uint32_t plain[8], fast[8], state = 5;
    for (size_t i = 0; i < 8; i++)
        plain[i] = fast[i] = state = state * 1664525 + 1013904223;
    for (size_t n = 0; n < 100; n++) {
        uint8_t block[65];
        for (size_t i = 0; i < sizeof block; i++)
            block[i] = (uint8_t)((state = state * 1664525 + 1013904223) >> 24);
        compress_plain(plain, block + n % 2);
        compress_fast(fast, block + n % 2);
        assert_memory_equal(plain, fast, sizeof plain);
    }
#else
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_standards_examples_come_out),
        cmocka_unit_test(a_million_letters_come_out),
        cmocka_unit_test(every_length_is_padded),
        cmocka_unit_test(both_ways_are_the_same),
        cmocka_unit_test(a_file_is_mixed_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
