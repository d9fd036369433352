/*
 * test_safetensors.c - files written and read again, files of another program's
 * making, and hostile ones, built here byte by byte.
 */
#include "testing.h"

#include <sys/stat.h>

#include "twinlens/alloc.h"
#include "twinlens/safetensors.h"

static test_folder folder;

static int make_folder(void **unused)
{
    (void)unused;
    folder = test_folder_create();
    return 0;
}

static int remove_folder(void **unused)
{
    (void)unused;
    test_folder_remove(folder.path);
    return 0;
}

/* A file of the given header and n_data bytes 0, 1, 2, ... behind it. */
static const char *make_file(const char *name, const char *header, size_t n_data)
{
    static unsigned char bytes[1 << 19];
    const size_t length = strlen(header);
    assert_true(8 + length + n_data <= sizeof bytes);
    for (size_t i = 0; i < 8; i++)
        bytes[i] = (unsigned char)((uint64_t)length >> 8 * i);
    memcpy(bytes + 8, header, length);
    for (size_t i = 0; i < n_data; i++)
        bytes[8 + length + i] = (unsigned char)i;
    return test_file(&folder, name, bytes, 8 + length + n_data);
}

static const char *make_text(const char *name, const char *text)
{
    return test_file(&folder, name, text, strlen(text));
}

/* The text must begin with the path and hold `part`; nothing stays allocated. */
static void assert_refused(const char *path, tl_status want, const char *part)
{
    const size_t live = tl_alloc_live();
    tl_safetensors *const before = (tl_safetensors *)&folder;
    tl_safetensors *file = before;
    tl_error err = {0};
    const tl_status got = tl_safetensors_open(path, &file, &err);
    if (got != want || strncmp(err.text, path, strlen(path)) != 0 ||
        strstr(err.text, part) == NULL || strchr(err.text, '\n') != NULL)
        fail_msg("%s, wanted %s: ...%s\ngot %s: %s", path, tl_status_name(want), part,
                 tl_status_name(got), err.text);
    assert_ptr_equal(file, before);
    assert_int_equal(tl_alloc_live(), live);
}

static tl_safetensors *open_file(const char *path)
{
    tl_safetensors *file = NULL;
    tl_error err = {0};
    if (tl_safetensors_open(path, &file, &err) != TL_OK)
        fail_msg("%s", err.text);
    return file;
}

/* ---- what is read ----------------------------------------------------------------- */

static void tensors_are_found_by_name_and_in_its_order(void **unused)
{
    (void)unused;
    tl_safetensors *file = open_file(make_file(
        "a.safetensors",
        "{\"b\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[0,8]},"
        "\"__metadata__\":{\"format\":\"pt\",\"empty\":\"\"},"
        "\"none\":{\"dtype\":\"I64\",\"shape\":[3,0],\"data_offsets\":[8,8]},"
        "\"a\":{\"data_offsets\":[12,13],\"dtype\":\"U8\",\"shape\":[1]},"
        "\"scalar\":{\"shape\":[],\"data_offsets\":[8,12],\"dtype\":\"I32\"}}   ",
        13));
    static const char *const names[] = {"a", "b", "none", "scalar"};
    assert_int_equal(tl_safetensors_count(file), 4);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(tl_safetensors_name(file, i), names[i]);
        assert_ptr_equal(tl_safetensors_at(file, i),
                         tl_safetensors_find(file, names[i]));
    }
    const tl_tensor *b = tl_safetensors_find(file, "b"),
                    *scalar = tl_safetensors_find(file, "scalar"),
                    *none = tl_safetensors_find(file, "none");
    assert_int_equal(b->dtype, TL_F32);
    assert_int_equal(b->n_dims, 2);
    assert_int_equal(b->dims[0], 2);
    assert_int_equal(b->dims[1], 1);
    assert_memory_equal(b->data, "\0\1\2\3\4\5\6\7", 8);
    assert_int_equal(scalar->n_dims, 0);
    assert_memory_equal(scalar->data, "\10\11\12\13", 4);
    assert_int_equal(tl_tensor_count(none), 0);
    assert_int_equal(*(const unsigned char *)tl_safetensors_find(file, "a")->data, 12);

    assert_null(tl_safetensors_find(file, "c"));
    assert_null(tl_safetensors_find(file, ""));
    assert_null(tl_safetensors_find(file, "__metadata__"));
    assert_string_equal(tl_safetensors_metadata(file, "format"), "pt");
    assert_string_equal(tl_safetensors_metadata(file, "empty"), "");
    assert_null(tl_safetensors_metadata(file, "other"));
    assert_int_equal(tl_safetensors_file_count(file), 1);
    tl_safetensors_close(file);
    tl_safetensors_close(NULL);
}

/* True when some mapping of this process is of a file in our folder. */
static bool is_mapped(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    if (maps == NULL)
        return false; /* no Linux */
    char line[4096];
    bool found = false;
    while (fgets(line, sizeof line, maps) != NULL)
        found = found || strstr(line, folder.path) != NULL;
    fclose(maps);
    return found;
}

static void closing_unmaps(void **unused)
{
    (void)unused;
    tl_safetensors_close(open_file(make_file("m.safetensors", "{}", 0)));
    assert_false(is_mapped());
    make_file("m.safetensors", "{", 0);
    tl_safetensors *file = NULL;
    char path[512];
    snprintf(path, sizeof path, "%s/m.safetensors", folder.path);
    assert_int_equal(tl_safetensors_open(path, &file, NULL), TL_ERR_FORMAT);
    assert_false(is_mapped());
}

static void a_file_may_hold_nothing(void **unused)
{
    (void)unused;
    static const char *const headers[] = {"{}", "{\"__metadata__\":{}}", " { } "};
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        tl_safetensors *file = open_file(make_file("e.safetensors", headers[i], 0));
        assert_int_equal(tl_safetensors_count(file), 0);
        assert_null(tl_safetensors_find(file, "a"));
        assert_null(tl_safetensors_metadata(file, "a"));
        tl_safetensors_close(file);
    }
}

/* Two values at every shift of the data against the start of the file. */
static void unaligned_data_is_aligned(void **unused)
{
    (void)unused;
    static const struct {
        const char *dtype;
        int bytes;
    } cases[] = {{"F64", 8}, {"F32", 4}, {"BF16", 2}, {"U8", 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int shift = 0; shift < 8; shift++) {
            char header[128], blanks[] = "       ";
            snprintf(header, sizeof header,
                     "%.*s{\"x\":{\"dtype\":\"%s\",\"shape\":[2],\"data_offsets\":[0,"
                     "%d]}}",
                     shift, blanks, cases[i].dtype, 2 * cases[i].bytes);
            tl_safetensors *file = open_file(
                make_file("u.safetensors", header, 2 * (size_t)cases[i].bytes));
            const tl_tensor *x = tl_safetensors_find(file, "x");
            assert_int_equal((uintptr_t)x->data % (uintptr_t)cases[i].bytes, 0);
            for (int k = 0; k < 2 * cases[i].bytes; k++)
                assert_int_equal(((const unsigned char *)x->data)[k], k);
            tl_safetensors_close(file);
        }
}

/* ---- what is refused -------------------------------------------------------------- */

#define TENSOR(name, dtype, shape, begin, end)                                         \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape                           \
    ",\"data_offsets\":[" #begin "," #end "]}"

static void hostile_headers_are_refused(void **unused)
{
    (void)unused;
    static const struct {
        const char *header;
        size_t n_data;
        tl_status status;
        const char *part;
    } cases[] = {
        /* no JSON, or not the right kind */
        {"", 0, TL_ERR_FORMAT, "header: line 1"},
        {"{", 0, TL_ERR_FORMAT, "header: line 1"},
        {"[]", 0, TL_ERR_FORMAT, "the header is no JSON object"},
        {"{} {}", 0, TL_ERR_FORMAT, "end of file expected"},
        {"{\"a\":1}", 0, TL_ERR_FORMAT, "'a' is no object"},
        {"{\"a\":{}}", 0, TL_ERR_FORMAT, "'a' has no dtype"},
        {"{\"\xff\":{}}", 0, TL_ERR_FORMAT, "unable to decode byte 0xff"},
        {"{\"a\\u0000b\":{}}", 0, TL_ERR_FORMAT, "NUL byte in object key"},
        {"{\"__metadata__\":{\"a\":\"b\\u0000c\"}}", 0, TL_ERR_FORMAT, "\\u0000"},
        {"{\"__metadata__\":[]}", 0, TL_ERR_FORMAT, "'__metadata__' is no object"},
        {"{\"__metadata__\":{\"a\":\"b\",\"c\":1}}", 0, TL_ERR_FORMAT,
         "'c' in '__metadata__' is no string"},
        {"{" TENSOR("a", "F32", "[1]", 0, 4) "," TENSOR("a", "F32", "[1]", 4, 8) "}", 8,
         TL_ERR_FORMAT, "duplicate object key"},
        /* dtype */
        {"{\"a\":{\"dtype\":7,\"shape\":[],\"data_offsets\":[0,4]}}", 4, TL_ERR_FORMAT,
         "'a' has no dtype"},
        {"{" TENSOR("a", "F8_E4M3", "[4]", 0, 4) "}", 3, TL_ERR_FORMAT,
         "'a' ends at byte 4 of the data, which has 3"},
        {"{" TENSOR("a", "F8_E4M3", "[4]", 0, 4) "}", 5, TL_ERR_FORMAT,
         "the last 1 bytes belong to no tensor"},
        /* shape */
        {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, TL_ERR_FORMAT,
         "'a' has no shape"},
        {"{" TENSOR("a", "F32", "4", 0, 4) "}", 4, TL_ERR_FORMAT, "'a' has no shape"},
        {"{" TENSOR("a", "F32", "[1,-1]", 0, 4) "}", 4, TL_ERR_FORMAT,
         "dimension 1 of 'a'"},
        {"{" TENSOR("a", "F32", "[1.0]", 0, 4) "}", 4, TL_ERR_FORMAT,
         "dimension 0 of 'a'"},
        {"{" TENSOR("a", "F32", "[\"1\"]", 0, 4) "}", 4, TL_ERR_FORMAT,
         "dimension 0 of 'a'"},
        {"{" TENSOR("a", "F32", "[99999999999999999999]", 0, 4) "}", 4, TL_ERR_FORMAT,
         "too big integer"},
        {"{" TENSOR("a", "F32", "[4611686018427387905]", 0, 4) "}", 4, TL_ERR_FORMAT,
         "the shape of 'a' makes more bytes"},
        {"{" TENSOR("a", "U8", "[4294967296,4294967296]", 0, 0) "}", 0, TL_ERR_FORMAT,
         "the shape of 'a' makes more bytes"},
        /* offsets */
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, TL_ERR_FORMAT,
         "'a' has no data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4,
         TL_ERR_FORMAT, "'a' has no data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,4]}}", 4,
         TL_ERR_FORMAT, "'a' has no data_offsets"},
        {"{" TENSOR("a", "F32", "[1]", 0, 4.0) "}", 4, TL_ERR_FORMAT,
         "'a' has no data_offsets"},
        {"{" TENSOR("a", "F32", "[1]", -4, 0) "}", 4, TL_ERR_FORMAT,
         "'a' has data_offsets [-4,0], wanted 0 <= begin <= end"},
        {"{" TENSOR("a", "F32", "[1]", 4, 0) "}", 4, TL_ERR_FORMAT,
         "'a' has data_offsets [4,0], wanted 0 <= begin <= end"},
        {"{" TENSOR("a", "F32", "[2]", 0, 8) "}", 7, TL_ERR_FORMAT,
         "'a' ends at byte 8 of the data, which has 7"},
        {"{" TENSOR("a", "F32", "[1]", 9223372036854775803, 9223372036854775807) "}", 4,
         TL_ERR_FORMAT, "'a' ends at byte 9223372036854775807 of the data"},
        {"{" TENSOR("a", "BF16", "[3,2]", 0, 11) "}", 11, TL_ERR_FORMAT,
         "'a' is BF16 [3,2], which is 12 bytes, and has 11"},
        {"{" TENSOR("a", "BF16", "[]", 0, 0) "}", 0, TL_ERR_FORMAT,
         "'a' is BF16 [], which is 2 bytes, and has 0"},
        {"{" TENSOR("a", "BF16", "[0]", 0, 2) "}", 2, TL_ERR_FORMAT,
         "'a' is BF16 [0], which is 0 bytes, and has 2"},
        /* all of them together */
        {"{" TENSOR("b", "U8", "[4]", 3, 7) "," TENSOR("a", "U8", "[4]", 0, 4) "}", 7,
         TL_ERR_FORMAT, "'a' and 'b' overlap"},
        {"{" TENSOR("a", "U8", "[4]", 0, 4) "," TENSOR("b", "U8", "[2]", 1, 3) "}", 4,
         TL_ERR_FORMAT, "'a' and 'b' overlap"},
        {"{" TENSOR("a", "U8", "[4]", 0, 4) "," TENSOR("b", "U8", "[0]", 2, 2) "}", 4,
         TL_ERR_FORMAT, "'a' and 'b' overlap"},
        {"{" TENSOR("a", "U8", "[2]", 0, 2) "," TENSOR("b", "U8", "[1]", 3, 4) "}", 4,
         TL_ERR_FORMAT, "1 bytes in front of 'b' belong to no tensor"},
        {"{" TENSOR("a", "U8", "[2]", 2, 4) "}", 4, TL_ERR_FORMAT,
         "2 bytes in front of 'a' belong to no tensor"},
        {"{" TENSOR("a", "U8", "[2]", 0, 2) "}", 5, TL_ERR_FORMAT,
         "the last 3 bytes belong to no tensor"},
        {"{}", 5, TL_ERR_FORMAT, "the last 5 bytes belong to no tensor"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_refused(make_file("h.safetensors", cases[i].header, cases[i].n_data),
                       cases[i].status, cases[i].part);
}

static void hostile_lengths_are_refused(void **unused)
{
    (void)unused;
    static const struct {
        const char *bytes;
        size_t n;
        const char *part;
    } cases[] = {
        {"", 0, "is 0 bytes long, the length of the header takes 8"},
        {"\2\0\0\0\0\0\0", 7, "is 7 bytes long"},
        {"\0\0\0\0\0\0\0\0", 8, "header: line 1"},
        {"\3\0\0\0\0\0\0\0{}", 10, "claims a header of 3 bytes and is 10 bytes long"},
        {"\0\xe1\xf5\5\0\0\0\0{}", 10, "claims a header of 100000000 bytes and is 10"},
        {"\1\xe1\xf5\5\0\0\0\0{}", 10,
         "claims a header of 100000001 bytes, at most 100000000 are allowed"},
        {"\2\0\0\0\0\0\0\x80{}", 10, "claims a header of 9223372036854775810 bytes"},
        {"\xff\xff\xff\xff\xff\xff\xff\xff{}", 10,
         "claims a header of 18446744073709551615 bytes"},
        {"version https://git-lfs.github.com/spec/v1\n", 43, "git-lfs pointer"},
        {"\4\0\0\0\0\0\0\0{\0 }", 12, "header: line 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_refused(test_file(&folder, "l.safetensors", cases[i].bytes, cases[i].n),
                       TL_ERR_FORMAT, cases[i].part);
}

/* Of any file cut short, however it began, something is said and nothing read. */
static void every_cut_of_a_file_is_refused(void **unused)
{
    (void)unused;
    static const char header[] = "{" TENSOR("a", "BF16", "[3]", 0, 6) "}";
    enum { LENGTH = sizeof header - 1, BYTES = 8 + LENGTH + 6 };
    char bytes[BYTES + 1] = {LENGTH};
    memcpy(bytes + 8, header, LENGTH);
    for (size_t n = 0; n <= BYTES + 1; n++) {
        const char *path = test_file(&folder, "c.safetensors", bytes, n);
        if (n != BYTES)
            assert_refused(path, TL_ERR_FORMAT, "");
        else
            tl_safetensors_close(open_file(path));
    }
}

static void what_is_no_file_is_refused(void **unused)
{
    (void)unused;
    assert_refused("no/such/model.safetensors", TL_ERR_NOT_FOUND, "cannot open");
    assert_refused("no/such/model.safetensors.index.json", TL_ERR_NOT_FOUND,
                   "cannot open");
    assert_refused("/dev/null", TL_ERR_IO, "is a device, wanted a regular file");
    assert_refused("", TL_ERR_NOT_FOUND, "cannot open");
}

/* ---- folders and shards ----------------------------------------------------------- */

static test_folder make_model_folder(const char *name)
{
    test_folder model;
    assert_in_range(snprintf(model.path, sizeof model.path, "%s/%s", folder.path, name),
                    1, sizeof model.path - 1);
    assert_int_equal(mkdir(model.path, 0700), 0);
    return model;
}

static void make_shard(const char *name, const char *header, size_t n_data)
{
    make_file(name, header, n_data);
}

static void a_folder_is_searched_for_a_model(void **unused)
{
    (void)unused;
    const test_folder model = make_model_folder("model");
    assert_refused(model.path, TL_ERR_NOT_FOUND,
                   "neither model.safetensors nor model.safetensors.index.json");

    make_shard("model/one.safetensors", "{" TENSOR("a", "U8", "[2]", 0, 2) "}", 2);
    make_text("model/model.safetensors.index.json",
              "{\"weight_map\":{\"a\":\"one.safetensors\"}}");
    tl_safetensors *file = open_file(model.path);
    assert_non_null(tl_safetensors_find(file, "a"));
    tl_safetensors_close(file);

    make_shard("model/model.safetensors", "{" TENSOR("b", "U8", "[2]", 0, 2) "}", 2);
    file = open_file(model.path);
    assert_non_null(tl_safetensors_find(file, "b"));
    assert_int_equal(tl_safetensors_file_count(file), 1);
    tl_safetensors_close(file);
}

static void shards_are_one_file(void **unused)
{
    (void)unused;
    make_model_folder("shards");
    make_shard("shards/2.safetensors",
               "{\"__metadata__\":{\"k\":\"two\"}," TENSOR("a", "U8", "[2]", 0, 2) "}",
               2);
    make_shard("shards/1.safetensors",
               "{\"__metadata__\":{\"k\":\"one\"}," TENSOR(
                   "c", "U8", "[1]", 0, 1) "," TENSOR("b", "U8", "[3]", 1, 4) "}",
               4);
    make_shard("shards/3.safetensors", "{}", 0);
    const char *path = make_text(
        "shards/x.safetensors.index.json",
        "{\"metadata\":{\"total_size\":6},\"weight_map\":{\"a\":\"2.safetensors\","
        "\"b\":\"1.safetensors\",\"c\":\"1.safetensors\"}}");
    tl_safetensors *file = open_file(path);
    assert_int_equal(tl_safetensors_count(file), 3);
    assert_string_equal(tl_safetensors_name(file, 0), "a");
    assert_string_equal(tl_safetensors_name(file, 1), "b");
    assert_string_equal(tl_safetensors_name(file, 2), "c");
    assert_memory_equal(tl_safetensors_at(file, 0)->data, "\0\1", 2);
    assert_memory_equal(tl_safetensors_at(file, 1)->data, "\1\2\3", 3);
    assert_string_equal(tl_safetensors_metadata(file, "k"), "one");
    assert_int_equal(tl_safetensors_file_count(file), 2);
    assert_non_null(strstr(tl_safetensors_file_path(file, 0), "shards/1.safetensors"));
    assert_non_null(strstr(tl_safetensors_file_path(file, 1), "shards/2.safetensors"));
    tl_safetensors_close(file);
}

/* Types that are not read, and what an index names for nothing, stand in nobody's way. */
static void what_cannot_be_read_is_refused_by_name_when_it_is_needed(void **unused)
{
    (void)unused;
    static const char *const types[] = {"F8_E4M3", "F8_E5M2", "U16", "U32",
                                        "U64",     "C64",     "F4"};
    static const struct {
        const char *name, *says;
        tl_status status;
    } cases[] = {
        {"deep", "some/2.safetensors: 'deep' has 9 dimensions, at most 8",
         TL_ERR_UNSUPPORTED},
        {"gone",
         "'gone' is named by the index, in 1.safetensors, but no shard holds it",
         TL_ERR_UNSUPPORTED},
        {"none", "some/1.safetensors: there is no tensor 'none'", TL_ERR_NOT_FOUND},
    };
    make_model_folder("some");
    make_shard("some/2.safetensors",
               "{" TENSOR("deep", "U8", "[1,1,1,1,1,1,1,1,1]", 0, 1) "}", 1);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        char header[256], says[128];
        snprintf(
            header, sizeof header,
            "{" TENSOR("z", "%s", "[3]", 0, 5) "," TENSOR("b", "U8", "[3]", 5, 8) "}",
            types[i]);
        make_shard("some/1.safetensors", header, 8);
        tl_safetensors *file = open_file(make_text(
            "some/x.safetensors.index.json",
            "{\"weight_map\":{\"z\":\"1.safetensors\",\"b\":\"1.safetensors\","
            "\"gone\":\"1.safetensors\",\"deep\":\"2.safetensors\"}}"));
        const tl_tensor *tensor = NULL;
        tl_error err = {0};
        assert_int_equal(tl_safetensors_count(file), 1);
        assert_string_equal(tl_safetensors_name(file, 0), "b");
        assert_int_equal(tl_safetensors_need(file, "b", &tensor, &err), TL_OK);
        assert_ptr_equal(tensor, tl_safetensors_find(file, "b"));
        assert_null(tl_safetensors_find(file, "z"));
        assert_true(tl_safetensors_has(file, "z") && tl_safetensors_has(file, "gone"));
        assert_false(tl_safetensors_has(file, "none"));
        assert_int_equal(tl_safetensors_need(file, "z", &tensor, &err),
                         TL_ERR_UNSUPPORTED);
        snprintf(says, sizeof says,
                 "some/1.safetensors: 'z' has dtype '%s', which cannot be read",
                 types[i]);
        if (strstr(err.text, says) == NULL)
            fail_msg("'%s', wanted '%s'", err.text, says);
        for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
            assert_int_equal(tl_safetensors_need(file, cases[c].name, &tensor, &err),
                             cases[c].status);
            if (strstr(err.text, cases[c].says) == NULL)
                fail_msg("'%s', wanted '%s'", err.text, cases[c].says);
        }
        tl_safetensors_close(file);
    }
}

static void hostile_indexes_are_refused(void **unused)
{
    (void)unused;
    make_model_folder("bad");
    make_shard("bad/1.safetensors", "{" TENSOR("a", "U8", "[2]", 0, 2) "}", 2);
    make_shard("bad/2.safetensors", "{" TENSOR("a", "U8", "[2]", 0, 2) "}", 2);
    make_shard("bad/broken.safetensors", "{" TENSOR("b", "U8", "[2]", 0, 2) "}", 1);
    static const struct {
        const char *text;
        tl_status status;
        const char *part;
    } cases[] = {
        {"", TL_ERR_FORMAT, "line 1"},
        {"{\"weight_map\":", TL_ERR_FORMAT, "line 1"},
        {"[]", TL_ERR_FORMAT, "has no 'weight_map'"},
        {"{}", TL_ERR_FORMAT, "has no 'weight_map'"},
        {"{\"weight_map\":{}}", TL_ERR_FORMAT, "has no 'weight_map'"},
        {"{\"weight_map\":[\"1.safetensors\"]}", TL_ERR_FORMAT, "has no 'weight_map'"},
        {"{\"weight_map\":{\"a\":1}}", TL_ERR_FORMAT,
         "'a' is in '(no string)', wanted a file name"},
        {"{\"weight_map\":{\"a\":\"\"}}", TL_ERR_FORMAT, "'a' is in ''"},
        {"{\"weight_map\":{\"a\":\"..\"}}", TL_ERR_FORMAT, "'a' is in '..'"},
        {"{\"weight_map\":{\"a\":\".\"}}", TL_ERR_FORMAT, "'a' is in '.'"},
        {"{\"weight_map\":{\"a\":\"../bad/1.safetensors\"}}", TL_ERR_FORMAT,
         "'a' is in '../bad/1.safetensors', wanted a file name"},
        {"{\"weight_map\":{\"a\":\"/etc/passwd\"}}", TL_ERR_FORMAT,
         "'a' is in '/etc/passwd'"},
        {"{\"weight_map\":{\"a\":\"1.safetensors\\u0000x\"}}", TL_ERR_FORMAT,
         "\\u0000"},
        {"{\"weight_map\":{\"a\":\"1.safetensors\",\"a\":\"1.safetensors\"}}",
         TL_ERR_FORMAT, "duplicate object key"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_refused(make_text("bad/x.safetensors.index.json", cases[i].text),
                       cases[i].status, cases[i].part);

    /* These name the shard, not the index. */
    static const struct {
        const char *text;
        tl_status status;
        const char *want;
    } shards[] = {
        {"{\"weight_map\":{\"a\":\"1.safetensors\",\"b\":\"9.safetensors\"}}",
         TL_ERR_NOT_FOUND, "bad/9.safetensors: cannot open"},
        {"{\"weight_map\":{\"b\":\"broken.safetensors\"}}", TL_ERR_FORMAT,
         "bad/broken.safetensors: truncated: 'b' ends at byte 2"},
        {"{\"weight_map\":{\"a\":\"1.safetensors\",\"b\":\"2.safetensors\"}}",
         TL_ERR_FORMAT, ".safetensors: 'a' is also in "},
    };
    const size_t live = tl_alloc_live();
    for (size_t i = 0; i < sizeof shards / sizeof *shards; i++) {
        tl_safetensors *file = NULL;
        tl_error err = {0};
        assert_int_equal(
            tl_safetensors_open(
                make_text("bad/x.safetensors.index.json", shards[i].text), &file, &err),
            shards[i].status);
        if (strstr(err.text, shards[i].want) == NULL)
            fail_msg("got: %s\nwanted: %s", err.text, shards[i].want);
        assert_null(file);
        assert_int_equal(tl_alloc_live(), live);
    }
}

/* ---- writing ---------------------------------------------------------------------- */

static const float weights[6] = {0.5f, -1.0f, 2.0f, 3.5f, 1e-40f, -0.0f};
static const uint16_t halves[3] = {0x3f80, 0x7f80, 0x0001};
static const int64_t counts[2] = {INT64_MIN, 7};
static const uint8_t flags[3] = {1, 0, 1};

static const tl_named_tensor mixed[] = {
    {"flags", {TL_BOOL, 1, {3}, flags}},
    {"model.weight", {TL_F32, 2, {2, 3}, weights}},
    {"counts", {TL_I64, 1, {2}, counts}},
    {"na\xc3\xafve \"\\\n", {TL_BF16, 1, {3}, halves}},
    {"empty", {TL_F32, 3, {4, 0, 2}, NULL}},
    {"scalar", {TL_F32, 0, {0}, weights + 2}},
};
enum { N_MIXED = sizeof mixed / sizeof *mixed };
static const char *const notes[][2] = {{"format", "tl"}, {"seed", "\"7\""}};

static void in_folder(char path[512], const char *name)
{
    snprintf(path, 512, "%s/%s", folder.path, name);
}

static void write_mixed(const char *path, const tl_named_tensor *tensors)
{
    tl_error err = {0};
    if (tl_safetensors_write(path, tensors, N_MIXED, notes, 2, &err) != TL_OK)
        fail_msg("%s", err.text);
}

static void what_is_written_is_read(void **unused)
{
    (void)unused;
    char path[512];
    in_folder(path, "w.safetensors");
    make_text("w.safetensors", "an older file");
    write_mixed(path, mixed);
    tl_safetensors *file = open_file(path);
    assert_int_equal(tl_safetensors_count(file), N_MIXED);
    for (size_t i = 0; i < N_MIXED; i++) {
        const tl_tensor *want = &mixed[i].tensor,
                        *got = tl_safetensors_find(file, mixed[i].name);
        assert_non_null(got);
        assert_int_equal(got->dtype, want->dtype);
        assert_int_equal(got->n_dims, want->n_dims);
        assert_memory_equal(got->dims, want->dims, want->n_dims * sizeof *want->dims);
        if (want->data != NULL)
            assert_memory_equal(got->data, want->data,
                                tl_tensor_count(want) * tl_dtype_bytes(want->dtype));
    }
    assert_string_equal(tl_safetensors_metadata(file, "format"), "tl");
    assert_string_equal(tl_safetensors_metadata(file, "seed"), "\"7\"");
    tl_safetensors_close(file);
}

static size_t read_bytes(const char *path, unsigned char *bytes, size_t room)
{
    FILE *stream = fopen(path, "rb");
    assert_non_null(stream);
    const size_t n = fread(bytes, 1, room, stream);
    fclose(stream);
    assert_true(n < room);
    return n;
}

static void the_bytes_do_not_depend_on_the_order_of_arguments(void **unused)
{
    (void)unused;
    char path[512];
    static unsigned char first[4096], again[4096];
    in_folder(path, "d.safetensors");
    write_mixed(path, mixed);
    const size_t n = read_bytes(path, first, sizeof first);
    tl_named_tensor reversed[N_MIXED];
    for (size_t i = 0; i < N_MIXED; i++)
        reversed[i] = mixed[N_MIXED - 1 - i];
    write_mixed(path, reversed);
    assert_int_equal(read_bytes(path, again, sizeof again), n);
    assert_memory_equal(first, again, n);
}

/* The widest first, by name among equals; blanks up to a multiple of 8. */
static void the_layout_is_the_documented_one(void **unused)
{
    (void)unused;
    static const char header[] =
        "{\"__metadata__\":{\"k\":\"v\"},"
        "\"b\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[0,8]},"
        "\"c\":{\"dtype\":\"BF16\",\"shape\":[1,1],\"data_offsets\":[8,10]},"
        "\"d\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[10,12]},"
        "\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[12,13]}}";
    static const unsigned char data[] = "abcdefghijklm";
    static const tl_named_tensor tensors[] = {
        {"a", {TL_U8, 0, {0}, data + 12}},
        {"b", {TL_I64, 1, {1}, data}},
        {"c", {TL_BF16, 2, {1, 1}, data + 8}},
        {"d", {TL_F16, 1, {1}, data + 10}},
    };
    enum { LENGTH = (sizeof header - 1 + 7) / 8 * 8 };
    assert_true(LENGTH != sizeof header - 1); /* or else no blank is tested */
    unsigned char want[8 + LENGTH + 13] = {LENGTH % 256, LENGTH / 256}, got[1024];
    memset(want + 8, ' ', LENGTH);
    memcpy(want + 8, header, sizeof header - 1);
    memcpy(want + 8 + LENGTH, data, 13);

    static const char *const pair[][2] = {{"k", "v"}};
    char path[512];
    in_folder(path, "y.safetensors");
    assert_int_equal(tl_safetensors_write(path, tensors, 4, pair, 1, NULL), TL_OK);
    assert_int_equal(read_bytes(path, got, sizeof got), sizeof want);
    assert_memory_equal(got, want, sizeof want);
}

static void nothing_makes_a_file_of_nothing(void **unused)
{
    (void)unused;
    char path[512];
    in_folder(path, "n.safetensors");
    assert_int_equal(tl_safetensors_write(path, NULL, 0, NULL, 0, NULL), TL_OK);
    tl_safetensors *file = open_file(path);
    assert_int_equal(tl_safetensors_count(file), 0);
    tl_safetensors_close(file);
}

static size_t count_files(const char *path)
{
    DIR *stream = opendir(path);
    assert_non_null(stream);
    size_t n = 0;
    while (readdir(stream) != NULL)
        n++;
    closedir(stream);
    return n;
}

static void senseless_arguments_write_nothing(void **unused)
{
    (void)unused;
    static const uint8_t byte = 0;
    static const struct {
        tl_named_tensor tensors[2];
        const char *part;
    } cases[] = {
        {{{"a", {TL_U8, 0, {0}, &byte}}, {"a", {TL_F32, 0, {0}, weights}}},
         "two tensors have the name 'a'"},
        {{{"a", {TL_U8, 0, {0}, &byte}}, {"__metadata__", {TL_U8, 0, {0}, &byte}}},
         "no tensor can have the name '__metadata__'"},
        {{{"a", {TL_U8, 0, {0}, &byte}}, {NULL, {TL_U8, 0, {0}, &byte}}},
         "the name of a tensor is NULL"},
        {{{"a", {TL_U8, 0, {0}, &byte}}, {"\xc3(", {TL_U8, 0, {0}, &byte}}},
         "the name of a tensor is not UTF-8"},
        {{{"a", {TL_U8, 0, {0}, &byte}}, {"b", {TL_U8, 1, {1}, NULL}}},
         "'b' has no data"},
        {{{"a", {TL_U8, 0, {0}, &byte}}, {"b", {TL_U8, 9, {1}, &byte}}},
         "'b' has 9 dimensions, at most 8 fit"},
        {{{"a", {TL_U8, 0, {0}, &byte}},
          {"b", {(tl_dtype)TL_DTYPE_COUNT, 0, {0}, &byte}}},
         "'b' has no dtype"},
        {{{"a", {TL_U8, 0, {0}, &byte}}, {"b", {TL_F32, 2, {SIZE_MAX, 0}, &byte}}},
         "the shape of 'b' makes more bytes"},
    };
    char path[512];
    in_folder(path, "s.safetensors");
    make_text("s.safetensors", "old");
    const size_t live = tl_alloc_live(), files = count_files(folder.path);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tl_error err = {0};
        assert_int_equal(tl_safetensors_write(path, cases[i].tensors, 2, NULL, 0, &err),
                         TL_ERR_ARGUMENT);
        if (strncmp(err.text, path, strlen(path)) != 0 ||
            strstr(err.text, cases[i].part) == NULL)
            fail_msg("got: %s\nwanted: %s", err.text, cases[i].part);
    }
    static const char *const metadata[][2][2] = {{{"k", "v"}, {"k", "w"}},
                                                 {{"k", "v"}, {"l", NULL}},
                                                 {{"k", "v"}, {NULL, "v"}},
                                                 {{"k", "v"}, {"l", "\xff"}}};
    for (size_t i = 0; i < sizeof metadata / sizeof *metadata; i++)
        assert_int_equal(
            tl_safetensors_write(path, mixed, N_MIXED, metadata[i], 2, NULL),
            TL_ERR_ARGUMENT);
    unsigned char bytes[8];
    assert_int_equal(read_bytes(path, bytes, sizeof bytes), 3);
    assert_memory_equal(bytes, "old", 3);
    assert_int_equal(count_files(folder.path), files);
    assert_int_equal(tl_alloc_live(), live);
}

static void what_cannot_be_written_leaves_nothing_behind(void **unused)
{
    (void)unused;
    const test_folder taken = make_model_folder("taken.safetensors");
    const size_t live = tl_alloc_live(), files = count_files(folder.path);
    tl_error err = {0};
    assert_int_equal(tl_safetensors_write(taken.path, mixed, N_MIXED, NULL, 0, &err),
                     TL_ERR_IO); /* the rename fails */
    assert_memory_equal(err.text, taken.path, strlen(taken.path));
    assert_int_equal(
        tl_safetensors_write("no/such/folder/x", mixed, N_MIXED, NULL, 0, NULL),
        TL_ERR_NOT_FOUND);
    assert_int_equal(count_files(folder.path), files);
    assert_int_equal(tl_alloc_live(), live);
}

/* ---- no memory -------------------------------------------------------------------- */

/* An arena asks for memory in chunks of 64 KiB: a name, a value and a tensor that has
 * to be aligned are each longer, so that each is a request that can fail. */
static void no_failing_request_breaks_open(void **unused)
{
    (void)unused;
    enum { LONG = 1 << 17 };
    static char header[3 * LONG], longest[LONG + 1];
    memset(longest, 'x', LONG);
    const int length =
        snprintf(header, sizeof header,
                 " {\"__metadata__\":{\"k\":\"%s\"},"
                 "\"%s\":{\"dtype\":\"BF16\",\"shape\":[%d],\"data_offsets\":[0,%d]}}",
                 longest, longest, LONG / 2, LONG);
    make_model_folder("oom");
    make_shard("oom/1.safetensors", header + (length % 2 == 0), LONG); /* odd */
    make_shard("oom/2.safetensors", "  {" TENSOR("b", "F32", "[1]", 0, 4) "}", 4);
    make_shard("oom/3.safetensors", "   {" TENSOR("c", "F32", "[1]", 0, 4) "}", 4);
    make_text("oom/model.safetensors.index.json",
              "{\"weight_map\":{\"c\":\"3.safetensors\",\"b\":\"2.safetensors\"}}");
    char one[512], all[512];
    in_folder(one, "oom/1.safetensors");
    in_folder(all, "oom");
    const char *const paths[] = {one, all};
    const size_t live = tl_alloc_live();
    for (size_t i = 0; i < 2; i++) {
        int hit = 1, n = 0;
        for (; hit; n++) {
            tl_safetensors *file = NULL;
            tl_error err = {0};
            tl_alloc_fail_at(n);
            const tl_status status = tl_safetensors_open(paths[i], &file, &err);
            hit = tl_alloc_fault_hit();
            assert_int_equal(status, hit ? TL_ERR_NO_MEMORY : TL_OK);
            assert_int_equal(file == NULL, hit);
            if (hit)
                assert_memory_equal(err.text, paths[i], strlen(paths[i]));
            tl_safetensors_close(file);
            assert_int_equal(tl_alloc_live(), live);
        }
        assert_in_range(n, 4, 100);
    }
    tl_alloc_fail_at(-1);
}

/* But the last step: a folder that cannot be synced for want of memory is no failure,
 * the file is there. */
static void no_failing_request_breaks_write(void **unused)
{
    (void)unused;
    char path[512];
    in_folder(path, "m.safetensors");
    const size_t live = tl_alloc_live();
    int hit = 1, n = 0;
    for (; hit; n++) {
        const size_t files = count_files(folder.path);
        tl_error err = {0};
        tl_alloc_fail_at(n);
        const tl_status status =
            tl_safetensors_write(path, mixed, N_MIXED, notes, 2, &err);
        hit = tl_alloc_fault_hit();
        tl_alloc_fail_at(-1);
        assert_int_equal(tl_alloc_live(), live);
        if (status == TL_OK) {
            tl_safetensors_close(open_file(path));
            remove(path);
        } else {
            assert_true(hit);
            assert_int_equal(status, TL_ERR_NO_MEMORY);
            assert_memory_equal(err.text, path, strlen(path));
            assert_int_equal(count_files(folder.path), files);
        }
    }
    assert_in_range(n, 4, 100);
}

/* ---- files that others wrote ------------------------------------------------------ */

static void check_checkpoint(const char *name, size_t n_files)
{
    char path[512];
    snprintf(path, sizeof path, TWINLENS_SOURCE_DIR "/../shared/checkpoints/%s", name);
    tl_safetensors *file = open_file(path);
    assert_int_equal(tl_safetensors_file_count(file), n_files);
    assert_string_equal(tl_safetensors_metadata(file, "format"), "pt");
    assert_true(tl_safetensors_count(file) > 50);
    for (size_t i = 0; i < tl_safetensors_count(file); i++) {
        const tl_tensor *t = tl_safetensors_at(file, i);
        assert_ptr_equal(tl_safetensors_find(file, tl_safetensors_name(file, i)), t);
        for (size_t k = 0; k < tl_tensor_count(t); k++) {
            float value = NAN;
            assert_int_equal(tl_tensor_to_f32(t, k, 1, &value, NULL), TL_OK);
            if (!(fabsf(value) < 100.0f))
                fail_msg("%s: '%s' holds %g at %zu", path, tl_safetensors_name(file, i),
                         (double)value, k);
        }
    }
    tl_safetensors_close(file);
}

static void checkpoints_of_transformers_open(void **unused)
{
    (void)unused;
    struct stat info;
    if (stat(TWINLENS_SOURCE_DIR "/../shared/checkpoints", &info) != 0) {
        print_message("skipped: no ../shared\n");
        skip();
    }
    check_checkpoint("qwen2vl-tiny", 1);
    check_checkpoint("gemma3-tiny", 1);
    check_checkpoint("pixtral-tiny", 1);
    check_checkpoint("qwen2vl-tied-sharded", 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_are_found_by_name_and_in_its_order),
        cmocka_unit_test(a_file_may_hold_nothing),
        cmocka_unit_test(closing_unmaps),
        cmocka_unit_test(unaligned_data_is_aligned),
        cmocka_unit_test(hostile_headers_are_refused),
        cmocka_unit_test(hostile_lengths_are_refused),
        cmocka_unit_test(every_cut_of_a_file_is_refused),
        cmocka_unit_test(what_is_no_file_is_refused),
        cmocka_unit_test(a_folder_is_searched_for_a_model),
        cmocka_unit_test(shards_are_one_file),
        cmocka_unit_test(what_cannot_be_read_is_refused_by_name_when_it_is_needed),
        cmocka_unit_test(hostile_indexes_are_refused),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(the_bytes_do_not_depend_on_the_order_of_arguments),
        cmocka_unit_test(the_layout_is_the_documented_one),
        cmocka_unit_test(nothing_makes_a_file_of_nothing),
        cmocka_unit_test(senseless_arguments_write_nothing),
        cmocka_unit_test(what_cannot_be_written_leaves_nothing_behind),
        cmocka_unit_test(no_failing_request_breaks_open),
        cmocka_unit_test(no_failing_request_breaks_write),
        cmocka_unit_test(checkpoints_of_transformers_open),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
