/*
 * test_json.c - getters that say which key was wrong, what it was and what it should
 * have been.
 */
#include "testing.h"

#include "base/json.h"
#include "twinlens/alloc.h"

static json_t *parse(const char *text)
{
    json_t *parsed = NULL;
    tl_error err = {0};
    if (tl_json_parse(text, strlen(text), "t.json", &parsed, &err) != TL_OK)
        fail_msg("%s", err.text);
    return parsed;
}

static void what_is_no_json_is_refused_with_its_place(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        size_t bytes;
        const char *want;
    } cases[] = {
        {"", 0, "t.json: line 1, column 0: "},
        {"{\"a\":\n1,}", 9, "t.json: line 2, column 3: "},
        {"{\"a\":1,\"a\":2}", 13, "duplicate object key near '\"a\"'"},
        {"{} x", 4, "end of file expected"},
        {"{\"a\":1}", 6, "t.json: line 1, column 6: "}, /* not past the end */
        {"[\"\0\"]", 5, "control character 0x0"},
        {"{\"a\\u0000\":1}", 13, "NUL byte in object key"},
        {"[\"\xff\"]", 5, "unable to decode byte 0xff"},
        {"[99999999999999999999]", 22, "too big integer"},
        {"[1e999]", 7, "real number overflow"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *parsed = NULL;
        tl_error err = {0};
        assert_int_equal(
            tl_json_parse(cases[i].text, cases[i].bytes, "t.json", &parsed, &err),
            TL_ERR_FORMAT);
        assert_null(parsed);
        if (strstr(err.text, cases[i].want) == NULL ||
            strncmp(err.text, "t.json: line ", 13) != 0)
            fail_msg("got: %s\nwanted: %s", err.text, cases[i].want);
    }
}

static void a_file_is_read(void **unused)
{
    (void)unused;
    const test_folder folder = test_folder_create();
    const char *path = test_file(&folder, "a.json", "{\"a\":[1]}\n", 10);
    const size_t live = tl_alloc_live();
    json_t *parsed = NULL;
    assert_int_equal(tl_json_read(path, &parsed, NULL), TL_OK);
    assert_int_equal(json_array_size(json_object_get(parsed, "a")), 1);
    json_decref(parsed);
    parsed = NULL;

    tl_error err = {0};
    for (int n = 0, hit = 1; hit; n++) {
        tl_alloc_fail_at(n);
        const tl_status status = tl_json_read(path, &parsed, &err);
        hit = tl_alloc_fault_hit();
        tl_alloc_fail_at(-1);
        assert_int_equal(status, hit ? TL_ERR_NO_MEMORY : TL_OK);
        assert_int_equal(parsed == NULL, hit);
        assert_int_equal(tl_alloc_live(), live);
    }
    json_decref(parsed);
    parsed = NULL;

    path = test_file(&folder, "a.json", "{\"a\":", 5);
    assert_int_equal(tl_json_read(path, &parsed, &err), TL_ERR_FORMAT);
    assert_memory_equal(err.text, path, strlen(path));
    assert_int_equal(tl_json_read("no/such.json", &parsed, &err), TL_ERR_NOT_FOUND);
    assert_memory_equal(err.text, "no/such.json: cannot open", 25);
    assert_null(parsed);
    assert_int_equal(tl_alloc_live(), live);
    test_folder_remove(folder.path);
}

enum kind { SIZE, SQUARE, ID, DOUBLE, BOOLEAN, STRING };

/* What was got, as text; "(none)" when the value was left alone. */
static tl_status get(enum kind kind, const json_t *object, const char *key, char *text,
                     size_t bytes, tl_error *err)
{
    size_t size = 4242;
    int32_t id = -4242;
    double number = -4242.5;
    bool truth = false, other = true;
    const char *string = "(none)";
    tl_status status = TL_OK;
    switch (kind) {
    case SIZE: status = tl_json_get_size(object, key, "t.json", &size, err); break;
    case SQUARE: status = tl_json_get_square(object, key, "t.json", &size, err); break;
    case ID: status = tl_json_get_id(object, key, "t.json", &id, err); break;
    case DOUBLE:
        status = tl_json_get_double(object, key, "t.json", &number, err);
        break;
    case BOOLEAN:
        status = tl_json_get_bool(object, key, "t.json", &truth, err);
        assert_int_equal(tl_json_get_bool(object, key, "t.json", &other, NULL), status);
        break;
    case STRING:
        status = tl_json_get_string(object, key, "t.json", &string, err);
        break;
    }
    if (size != 4242)
        snprintf(text, bytes, "%zu", size);
    else if (id != -4242)
        snprintf(text, bytes, "%d", (int)id);
    else if (number != -4242.5)
        snprintf(text, bytes, "%.17g", number);
    else if (kind == BOOLEAN && truth == other)
        snprintf(text, bytes, "%s", truth ? "true" : "false");
    else
        snprintf(text, bytes, "%s", string);
    return status;
}

static void values_are_got_or_explained(void **unused)
{
    (void)unused;
    static const struct {
        enum kind kind;
        const char *value; /* of the key "k" */
        const char *want;  /* the value, or a message */
    } cases[] = {
        {SIZE, "0", "0"},
        {SIZE, "2147483648", "2147483648"},
        {SIZE, "2147483649", "t.json: 'k' is 2147483649, wanted an integer in 0..2^31"},
        {SIZE, "-1", "t.json: 'k' is -1, wanted an integer in 0..2^31"},
        {SIZE, "1.0",
         "t.json: 'k' is a number with a fraction, wanted an integer in 0..2^31"},
        {SIZE, "\"1\"", "t.json: 'k' is a string, wanted an integer in 0..2^31"},
        {SIZE, "null", "(none)"},
        {SQUARE, "14", "14"},
        {SQUARE, "[14, 14]", "14"},
        {SQUARE, "null", "(none)"},
        {SQUARE, "[14, 16]",
         "t.json: 'k' is an array, wanted an integer in 0..2^31 or two equal ones"},
        {SQUARE, "[-1, -1]",
         "t.json: 'k' is an array, wanted an integer in 0..2^31 or two equal ones"},
        {SQUARE, "[2147483649, 2147483649]",
         "t.json: 'k' is an array, wanted an integer in 0..2^31 or two equal ones"},
        {SQUARE, "[1.0, 1.0]",
         "t.json: 'k' is an array, wanted an integer in 0..2^31 or two equal ones"},
        {SQUARE, "[14]",
         "t.json: 'k' is an array, wanted an integer in 0..2^31 or two equal ones"},
        {SQUARE, "1.0",
         "t.json: 'k' is a number with a fraction, wanted an integer in 0..2^31"},
        {ID, "0", "0"},
        {ID, "2147483647", "2147483647"},
        {ID, "2147483648", "t.json: 'k' is 2147483648, wanted a token id"},
        {ID, "-1", "t.json: 'k' is -1, wanted a token id"},
        {ID, "[1]", "t.json: 'k' is an array, wanted a token id"},
        {ID, "null", "(none)"},
        {DOUBLE, "1e-6", "9.9999999999999995e-07"},
        {DOUBLE, "-3", "-3"},
        {DOUBLE, "{}", "t.json: 'k' is an object, wanted a number"},
        {DOUBLE, "true", "t.json: 'k' is true, wanted a number"},
        {DOUBLE, "null", "(none)"},
        {BOOLEAN, "true", "true"},
        {BOOLEAN, "false", "false"},
        {BOOLEAN, "1", "t.json: 'k' is 1, wanted true or false"},
        {BOOLEAN, "null", "(none)"},
        {STRING, "\"x\\u00e9\"", "x\xc3\xa9"},
        {STRING, "\"\"", ""},
        {STRING, "false", "t.json: 'k' is false, wanted a string"},
        {STRING, "null", "(none)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[100], got[100];
        snprintf(text, sizeof text, "{\"other\":{},\"k\":%s}", cases[i].value);
        json_t *object = parse(text);
        tl_error err = {0};
        const tl_status status = get(cases[i].kind, object, "k", got, sizeof got, &err);
        const bool refused = strncmp(cases[i].want, "t.json", 6) == 0;
        assert_int_equal(status, refused ? TL_ERR_FORMAT : TL_OK);
        assert_string_equal(refused ? err.text : got, cases[i].want);
        if (refused)
            assert_string_equal(got, "(none)");
        assert_int_equal(get(cases[i].kind, object, "absent", got, sizeof got, NULL),
                         TL_OK);
        assert_string_equal(got, "(none)");
        json_decref(object);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_json_is_refused_with_its_place),
        cmocka_unit_test(a_file_is_read),
        cmocka_unit_test(values_are_got_or_explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
