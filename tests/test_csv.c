/* SPDX-License-Identifier: MIT
 *
 * test_csv.c - tables with quotes, commas and line breaks in their fields; and
 * tables that are none.
 */
#include "testing.h"

#include <stdio.h>
#include <string.h>

#include "task/csv.h"

static tl_status parse(const char *text, tl_arena *arena, tl_csv *csv, tl_error *err)
{
    return tl_csv_parse(text, strlen(text), "t.csv", arena, csv, err);
}

static void fields_come_out_unquoted(void **state)
{
    (void)state;
    /* Fields of a row end in | here, rows in /. */
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"a,b\n1,2\n", "a|b|/1|2|/"},
        {"a,b\r\n1,2\r\n", "a|b|/1|2|/"},
        {"a,b\n1,2", "a|b|/1|2|/"},
        {"a,b\n,\n", "a|b|/||/"},
        {"\xef\xbb\xbf"
         "a,b\n",
         "a|b|/"},
        {"a,b\n\"1,\"\"x\"\"\",\"2\n3\"\n", "a|b|/1,\"x\"|2\n3|/"},
        {"a,b\n\"\",\"\r\n\"\n\n4,5\n", "a|b|/|\r\n|/4|5|/"},
        {"a\n\"\"\"\"", "a|/\"|/"},
        {"a,b\n1\r,2\n", "a|b|/1\r|2|/"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tl_arena *arena = tl_arena_create();
        tl_error err = {0};
        tl_csv csv;
        assert_int_equal(parse(cases[i].text, arena, &csv, &err), TL_OK);
        char got[100];
        size_t n = 0;
        for (size_t row = 0; row <= csv.n_rows; row++) {
            for (size_t c = 0; c < csv.n_columns; c++) {
                const char *field = row == 0
                                        ? csv.header[c]
                                        : csv.fields[(row - 1) * csv.n_columns + c];
                n += (size_t)snprintf(got + n, sizeof got - n, "%s|", field);
            }
            n += (size_t)snprintf(got + n, sizeof got - n, "/");
        }
        assert_string_equal(got, cases[i].want);
        tl_arena_destroy(arena);
    }
}

static void columns_and_lines_are_found(void **state)
{
    (void)state;
    tl_arena *arena = tl_arena_create();
    tl_csv csv;
    assert_int_equal(parse("a,b\n\"1\n1\",2\n3,4\n", arena, &csv, NULL), TL_OK);
    assert_int_equal(tl_csv_column(&csv, "b"), 1);
    assert_true(tl_csv_column(&csv, "c") == TL_CSV_NO_COLUMN);
    assert_int_equal(csv.n_rows, 2);
    assert_int_equal(csv.lines[0], 2);
    assert_int_equal(csv.lines[1], 4);
    tl_arena_destroy(arena);
}

static void bad_tables_are_explained(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "t.csv: empty, wanted a header"},
        {"\n\n", "t.csv: empty, wanted a header"},
        {"a,b\n1\n", "t.csv:2: 1 fields, the header has 2"},
        {"a,b\n1,2\n1,2,3\n", "t.csv:3: 3 fields, the header has 2"},
        {"a,b\n1,\"2\n3\n", "t.csv:2: a quoted field is not closed"},
        {"a,b\n1,x\"2\"\n",
         "t.csv:2: wanted a comma or the end of the line after a field, found '\"'"},
        {"a,b\n\"1\"x,2\n",
         "t.csv:2: wanted a comma or the end of the line after a field, found 'x'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tl_arena *arena = tl_arena_create();
        tl_error err = {0};
        tl_csv csv = {.n_rows = 77};
        assert_int_equal(parse(cases[i].text, arena, &csv, &err), TL_ERR_FORMAT);
        assert_string_equal(err.text, cases[i].message);
        assert_int_equal(csv.n_rows, 77);
        tl_arena_destroy(arena);
    }
    tl_arena *arena = tl_arena_create();
    tl_csv csv;
    assert_int_equal(tl_csv_parse("a\0b", 3, "t.csv", arena, &csv, NULL),
                     TL_ERR_FORMAT);
    assert_int_equal(tl_csv_read("tests/data/none.csv", arena, &csv, NULL),
                     TL_ERR_NOT_FOUND);
    tl_arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_come_out_unquoted),
        cmocka_unit_test(columns_and_lines_are_found),
        cmocka_unit_test(bad_tables_are_explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
