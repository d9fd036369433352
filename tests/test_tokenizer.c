/* SPDX-License-Identifier: MIT
 *
 * test_tokenizer.c - ids and offsets against what the tokenizers library gave for
 * the same files and texts (tests/data/tokenizer/make.py, and ../shared where
 * there is one); files that are damaged or ask for too much; memory that runs out.
 */
#include "testing.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "twinlens/alloc.h"
#include "twinlens/tokenizer.h"

#define DATA TWINLENS_SOURCE_DIR "/tests/data/"
#define SHARED TWINLENS_SOURCE_DIR "/../shared/"
#define TINY_QWEN DATA "qwen2vl-tiny/checkpoint/tokenizer.json"

static tl_tokenizer *open_tokenizer(const char *path)
{
    tl_tokenizer *tokenizer = NULL;
    tl_error err = {0};
    if (tl_tokenizer_open(path, &tokenizer, &err) != TL_OK)
        fail_msg("%s", err.text);
    return tokenizer;
}

static json_t *read_json(const char *path)
{
    json_error_t problem;
    json_t *json = json_load_file(path, JSON_ALLOW_NUL, &problem);
    if (json == NULL)
        fail_msg("%s: %s", path, problem.text);
    return json;
}

static int64_t integer(const json_t *array, size_t i)
{
    return (int64_t)json_integer_value(json_array_get(array, i));
}

/* --- golden ids and offsets ------------------------------------------------------ */

/* `want` is a list of ids, or of [id, begin, end]. */
static void check_encoding(const tl_tokenizer *tokenizer, const char *name,
                           const char *text, size_t bytes, const json_t *want)
{
    tl_arena *arena = tl_arena_create();
    tl_error err = {0};
    const tl_token *tokens = NULL;
    size_t count = 0;
    if (tl_tokenizer_encode(tokenizer, text, bytes, arena, &tokens, &count, &err) !=
        TL_OK)
        fail_msg("%s: '%s': %s", name, text, err.text);
    for (size_t i = 0; i < count && i < json_array_size(want); i++) {
        const json_t *w = json_array_get(want, i);
        const bool offsets = json_is_array(w);
        const int64_t id = offsets ? integer(w, 0) : integer(want, i);
        if (tokens[i].id != id)
            fail_msg("%s: '%s': token %zu is %d, wanted %d", name, text, i,
                     (int)tokens[i].id, (int)id);
        if (offsets && (tokens[i].begin != (size_t)integer(w, 1) ||
                        tokens[i].end != (size_t)integer(w, 2)))
            fail_msg("%s: '%s': token %zu is at %zu-%zu, wanted %d-%d", name, text, i,
                     tokens[i].begin, tokens[i].end, (int)integer(w, 1),
                     (int)integer(w, 2));
    }
    if (count != json_array_size(want))
        fail_msg("%s: '%s': %zu tokens, wanted %zu", name, text, count,
                 json_array_size(want));
    tl_arena_destroy(arena);
}

static void check_all(const tl_tokenizer *tokenizer, const char *name,
                      const json_t *texts, const json_t *want)
{
    assert_true(json_array_size(texts) > 0);
    assert_int_equal(json_array_size(texts), json_array_size(want));
    for (size_t i = 0; i < json_array_size(texts); i++) {
        const json_t *text = json_array_get(texts, i);
        check_encoding(tokenizer, name, json_string_value(text),
                       json_string_length(text), json_array_get(want, i));
    }
}

static void nasty_texts_give_the_recorded_ids_and_offsets(void **state)
{
    (void)state;
    json_t *golden = read_json(DATA "tokenizer/golden.json");
    const json_t *list = json_object_get(golden, "golden");
    assert_int_equal(json_array_size(list), 7);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        const char *name = json_string_value(json_object_get(one, "tokenizer"));
        char path[1024];
        snprintf(path, sizeof path, DATA "tokenizer/%s", name);
        tl_tokenizer *tokenizer = open_tokenizer(path);
        check_all(tokenizer, name, json_object_get(golden, "texts"),
                  json_object_get(one, "tokens"));
        tl_tokenizer_close(tokenizer);
    }
    json_decref(golden);
}

/* --- the real vocabularies, if they are there --------------------------------------- */

static void skip_without_shared(void)
{
    if (access(SHARED "data/tokenizers", R_OK) == 0)
        return;
    print_message("skipped: no ../shared\n");
    skip();
}

static void make_temporary(char path[], const char *content)
{
    const int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    FILE *file = fdopen(descriptor, "w");
    assert_non_null(file);
    assert_true(fputs(content, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static tl_tokenizer *open_shared(const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, SHARED "checkpoints/%s/tokenizer.json", name);
    if (access(path, R_OK) == 0)
        return open_tokenizer(path);
    char unpacked[] = "/tmp/twinlens-test-XXXXXX", command[2048];
    make_temporary(unpacked, "");
    snprintf(command, sizeof command,
             "gzip -dc '" SHARED "data/tokenizers/%s/tokenizer.json.gz' > %s", name,
             unpacked);
    assert_int_equal(system(command), 0);
    tl_tokenizer *tokenizer = open_tokenizer(unpacked);
    unlink(unpacked);
    return tokenizer;
}

static void all_seven_tokenizers_agree_with_the_record(void **state)
{
    (void)state;
    skip_without_shared();
    json_t *golden = read_json(SHARED "goldens/inputs/tokens.json");
    const char *name;
    json_t *want;
    json_object_foreach(json_object_get(golden, "ids"), name, want)
    {
        tl_tokenizer *tokenizer = open_shared(name);
        check_all(tokenizer, name, json_object_get(golden, "texts"), want);
        tl_tokenizer_close(tokenizer);
    }
    json_decref(golden);
}

/* A whole file, with a 0 behind. */
static char *read_text(const char *path, size_t *bytes)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        fail_msg("%s is missing", path);
    fseek(file, 0, SEEK_END);
    *bytes = (size_t)ftell(file);
    rewind(file);
    char *text = malloc(*bytes + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, *bytes, file), *bytes);
    text[*bytes] = '\0';
    fclose(file);
    return text;
}

/* "1, 2" or "1 2" up to the end of the line; *line goes to the next. */
static json_t *read_ids(char **line)
{
    json_t *ids = json_array();
    char *at = *line, *end;
    for (;;) {
        at += strspn(at, ", ");
        if (*at == '\n' || *at == '\0')
            break;
        json_array_append_new(ids, json_integer(strtol(at, &end, 10)));
        assert_true(end > at);
        at = end;
    }
    *line = *at == '\n' ? at + 1 : at;
    return ids;
}

/* "\n" and "\s" stand for a newline and a blank. */
static void undo_escapes(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; from++) {
        const bool escape = from[0] == '\\' && (from[1] == 'n' || from[1] == 's');
        if (escape)
            from++;
        *to++ = (char)(!escape ? *from : *from == 'n' ? '\n' : ' ');
    }
    *to = '\0';
}

/* Texts between separators, a line of ids for each. */
static void check_records(const char *name, const char *text_path, const char *ids_path,
                          const char *separator, bool escapes)
{
    size_t bytes;
    char *texts = read_text(text_path, &bytes), *ids = read_text(ids_path, &bytes);
    tl_tokenizer *tokenizer = open_shared(name);
    size_t count = 0;
    for (char *text = texts, *line = ids, *next; text != NULL; text = next, count++) {
        next = strstr(text, separator);
        if (next != NULL) {
            *next = '\0';
            next += strlen(separator);
        }
        if (escapes)
            undo_escapes(text);
        json_t *want = read_ids(&line);
        check_encoding(tokenizer, name, text, strlen(text), want);
        json_decref(want);
    }
    assert_true(count > 0);
    tl_tokenizer_close(tokenizer);
    free(texts);
    free(ids);
}

static void other_programs_records_agree(void **state)
{
    (void)state;
    skip_without_shared();
    static const char *const files[][2] = {{"gemma3", "gemma3"},
                                           {"mistral_nemo", "mistral2410"}};
    static const struct {
        const char *kind, *separator;
        bool escapes;
    } kinds[] = {
        {"small", "\n", true}, {"mixed", "\n", false}, {"utf8", "no such text", false}};
    for (size_t i = 0; i < 6; i++) {
        const char *kind = kinds[i % 3].kind;
        char texts[1024], ids[1024];
        snprintf(texts, sizeof texts,
                 SHARED "data/tokenizers/golden_kitoken/%s_input.txt", kind);
        snprintf(ids, sizeof ids,
                 SHARED "data/tokenizers/golden_kitoken/tokenizers__%s_tokens_%s.txt",
                 kind, files[i / 3][1]);
        check_records(files[i / 3][0], texts, ids, kinds[i % 3].separator,
                      kinds[i % 3].escapes);
    }
#define LLAMA_CPP SHARED "data/tokenizers/golden_llama_cpp_qwen2/ggml-vocab-qwen2.gguf"
    check_records("qwen2", LLAMA_CPP ".inp", LLAMA_CPP ".out",
                  "\n__ggml_vocab_test__\n", false);
}

/* --- files that are damaged, or ask for too much -------------------------------------- */

/* The status of a file with this content. */
static tl_status open_content(const char *content, tl_error *err)
{
    char path[] = "/tmp/twinlens-test-XXXXXX";
    make_temporary(path, content);
    tl_tokenizer *tokenizer = NULL;
    const tl_status status = tl_tokenizer_open(path, &tokenizer, err);
    assert_true((status == TL_OK) == (tokenizer != NULL));
    tl_tokenizer_close(tokenizer);
    unlink(path);
    return status;
}

/* JSON with ' for ". */
static void requote(const char *text, char *out, size_t room)
{
    assert_true(strlen(text) < room);
    size_t i = 0;
    for (; text[i] != '\0'; i++)
        out[i] = (char)(text[i] == '\'' ? '"' : text[i]);
    out[i] = '\0';
}

#define VOCAB "'vocab':{'a':0,'b':1,'ab':2}"
#define MODEL "'model':{'type':'BPE'," VOCAB ",'merges':['a b']}"
#define NORMALIZER(text) "{" MODEL ",'normalizer':" text "}"
#define PRE_TOKENIZER(text) "{" MODEL ",'pre_tokenizer':" text "}"
#define REGEX(text)                                                                    \
    PRE_TOKENIZER("{'type':'Split','behavior':'Isolated','pattern':{'Regex':'" text    \
                  "'}}")
#define ADDED(text) "{" MODEL ",'added_tokens':" text "}"

static void senseless_files_are_refused_with_a_reason(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        tl_status status;
        const char *reason; /* part of the message */
    } cases[] = {
        {"{" MODEL "}", TL_OK, ""},
        {"", TL_ERR_FORMAT, "line 1"},
        {"[]", TL_ERR_FORMAT, "not a JSON object"},
        {"{}", TL_ERR_FORMAT, "model: must be an object"},
        {"{'version':'2.0'," MODEL "}", TL_ERR_UNSUPPORTED, "'2.0'"},
        {"{" MODEL "," MODEL "}", TL_ERR_FORMAT, "duplicate"},
        /* the model */
        {"{'model':{'type':'Unigram','vocab':[]}}", TL_ERR_UNSUPPORTED, "'Unigram'"},
        {"{'model':{'type':'WordPiece','vocab':{}}}", TL_ERR_UNSUPPORTED,
         "'WordPiece'"},
        {"{'model':{'type':7}}", TL_ERR_FORMAT, "'type'"},
        {"{'model':{'type':'BPE'}}", TL_ERR_FORMAT, "'vocab' must be an object"},
        {"{'model':{'vocab':{}}}", TL_ERR_FORMAT, "'merges' must be a list"},
        {"{'model':{'vocab':{},'merges':[]}}", TL_OK, ""},
        {"{'model':{'vocab':[],'merges':[]}}", TL_ERR_FORMAT, "'vocab'"},
        {"{'model':{'vocab':{'a':-1},'merges':[]}}", TL_ERR_FORMAT, "the id of 'a'"},
        {"{'model':{'vocab':{'a':4194304},'merges':[]}}", TL_ERR_FORMAT,
         "the id of 'a'"},
        {"{'model':{'vocab':{'a':99999999999},'merges':[]}}", TL_ERR_FORMAT, "'a'"},
        {"{'model':{'vocab':{'a':1.5},'merges':[]}}", TL_ERR_FORMAT, "the id of 'a'"},
        {"{'model':{'vocab':{'a':'0'},'merges':[]}}", TL_ERR_FORMAT, "the id of 'a'"},
        {"{'model':{'vocab':{'a':3,'b':3},'merges':[]}}", TL_ERR_FORMAT,
         "id 3 is given"},
        {"{'model':{'vocab':{'a':0,'a':1},'merges':[]}}", TL_ERR_FORMAT, "duplicate"},
        {"{'model':{" VOCAB ",'merges':['a c']}}", TL_ERR_FORMAT, "names 'c'"},
        {"{'model':{" VOCAB ",'merges':['b a']}}", TL_ERR_FORMAT, "makes 'ba'"},
        {"{'model':{" VOCAB ",'merges':['a b','ab']}}", TL_ERR_FORMAT, "merge 1"},
        {"{'model':{" VOCAB ",'merges':['a b c']}}", TL_ERR_FORMAT, "merge 0"},
        {"{'model':{" VOCAB ",'merges':[['a']]}}", TL_ERR_FORMAT, "merge 0"},
        {"{'model':{" VOCAB ",'merges':[['a',7]]}}", TL_ERR_FORMAT, "merge 0"},
        {"{'model':{" VOCAB ",'merges':[7]}}", TL_ERR_FORMAT, "merge 0"},
        {"{'model':{" VOCAB ",'merges':[['a','b']],'unk_token':'c'}}", TL_ERR_FORMAT,
         "'c'"},
        {"{'model':{" VOCAB ",'merges':[],'dropout':0.1}}", TL_ERR_UNSUPPORTED,
         "dropout"},
        {"{'model':{" VOCAB ",'merges':[],'dropout':0.0}}", TL_OK, ""},
        {"{'model':{" VOCAB ",'merges':[],'continuing_subword_prefix':'##'}}",
         TL_ERR_UNSUPPORTED, "continuing_subword_prefix '##'"},
        {"{'model':{" VOCAB ",'merges':[],'end_of_word_suffix':'</w>'}}",
         TL_ERR_UNSUPPORTED, "end_of_word_suffix '</w>'"},
        {"{'model':{" VOCAB ",'merges':[],'fuse_unk':1}}", TL_ERR_FORMAT, "'fuse_unk'"},
        /* normalizers */
        {NORMALIZER("{'type':'Lowercase'}"), TL_ERR_UNSUPPORTED, "'Lowercase'"},
        {NORMALIZER("{'type':'NFKC'}"), TL_OK, ""},
        {NORMALIZER("{'type':'Precompiled','precompiled_charsmap':'AAAA'}"),
         TL_ERR_UNSUPPORTED, "'Precompiled'"},
        {NORMALIZER("'NFC'"), TL_ERR_FORMAT, "normalizer: no 'type'"},
        {NORMALIZER("{'type':'Sequence'}"), TL_ERR_FORMAT, "Sequence"},
        {NORMALIZER("{'type':'Sequence','normalizers':[{'type':'Strip'}]}"),
         TL_ERR_UNSUPPORTED, "'Strip'"},
        {NORMALIZER("{'type':'Replace','pattern':{'String':' '}}"), TL_ERR_FORMAT,
         "content"},
        {NORMALIZER("{'type':'Replace','pattern':{'String':''},'content':''}"),
         TL_ERR_UNSUPPORTED, "empty"},
        {NORMALIZER("{'type':'Replace','pattern':{'Regex':' +'},'content':''}"), TL_OK,
         ""},
        {NORMALIZER("{'type':'Replace','pattern':{'Regex':' *'},'content':''}"),
         TL_ERR_UNSUPPORTED, "may match nothing"},
        {NORMALIZER("{'type':'Replace','pattern':' ','content':''}"), TL_ERR_FORMAT,
         "'pattern'"},
        {NORMALIZER("{'type':'Prepend'}"), TL_ERR_FORMAT, "'prepend'"},
        /* pre-tokenizers */
        {PRE_TOKENIZER("{'type':'Metaspace'}"), TL_ERR_FORMAT,
         "Metaspace: 'replacement'"},
        {PRE_TOKENIZER("{'type':'Metaspace','replacement':''}"), TL_ERR_FORMAT,
         "one character"},
        {PRE_TOKENIZER("{'type':'Metaspace','replacement':'__'}"), TL_ERR_FORMAT,
         "one character"},
        {PRE_TOKENIZER("{'type':'Metaspace','replacement':'_','split':1}"),
         TL_ERR_FORMAT, "'split'"},
        {PRE_TOKENIZER(
             "{'type':'Metaspace','replacement':'_','prepend_scheme':'last'}"),
         TL_ERR_UNSUPPORTED, "prepend_scheme 'last'"},
        {PRE_TOKENIZER("{'type':'Metaspace','replacement':'_','prepend_scheme':7}"),
         TL_ERR_FORMAT, "'prepend_scheme'"},
        {PRE_TOKENIZER(
             "{'type':'Metaspace','replacement':'_','add_prefix_space':false}"),
         TL_ERR_FORMAT, "'add_prefix_space' is false"},
        {PRE_TOKENIZER("{'type':'Metaspace','replacement':'_','prepend_scheme':"
                       "'never','add_prefix_space':false}"),
         TL_OK, ""},
        {PRE_TOKENIZER("{'type':'Digits','individual_digits':'yes'}"), TL_ERR_FORMAT,
         "'individual_digits'"},
        {PRE_TOKENIZER("{'type':'Whitespace'}"), TL_ERR_UNSUPPORTED, "'Whitespace'"},
        {PRE_TOKENIZER("{'type':'Punctuation'}"), TL_ERR_UNSUPPORTED, "'Punctuation'"},
        {PRE_TOKENIZER("{'type':'Sequence','pretokenizers':[{}]}"), TL_ERR_FORMAT,
         "type"},
        {PRE_TOKENIZER("{'type':'Split','pattern':{'String':' '}}"), TL_ERR_FORMAT,
         "'behavior'"},
        {PRE_TOKENIZER(
             "{'type':'Split','pattern':{'String':' '},'behavior':'Shuffled'}"),
         TL_ERR_UNSUPPORTED, "'Shuffled'"},
        {PRE_TOKENIZER("{'type':'ByteLevel','use_regex':3}"), TL_ERR_FORMAT,
         "'use_regex'"},
        {REGEX("a("), TL_ERR_FORMAT, "parenthesis"},
        {REGEX("\\\\bword"), TL_ERR_UNSUPPORTED, "'\\b'"},
        /* added tokens */
        {ADDED("[{'id':3,'content':'<s>'},{'id':1,'content':'b'}]"), TL_OK, ""},
        {ADDED("{}"), TL_ERR_FORMAT, "added_tokens: must be a list"},
        {ADDED("[7]"), TL_ERR_FORMAT, "'content'"},
        {ADDED("[{'id':3,'content':''}]"), TL_ERR_FORMAT, "'content'"},
        {ADDED("[{'content':'<s>'}]"), TL_ERR_FORMAT, "the id of '<s>'"},
        {ADDED("[{'id':-3,'content':'<s>'}]"), TL_ERR_FORMAT, "'id' is -3"},
        {ADDED("[{'id':7,'content':'<s>'}]"), TL_ERR_FORMAT, "its place gives it 3"},
        {ADDED("[{'id':0,'content':'b'}]"), TL_ERR_FORMAT, "its place gives it 1"},
        {ADDED("[{'id':1,'content':'b'},{'id':1,'content':'b'}]"), TL_ERR_FORMAT,
         "id 1 is given"},
        {ADDED("[{'id':3,'content':'<s>','lstrip':'yes'}]"), TL_ERR_FORMAT, "'lstrip'"},
        /* decoders */
        {"{" MODEL ",'decoder':{'type':'WordPiece'}}", TL_ERR_UNSUPPORTED,
         "'WordPiece'"},
        {"{" MODEL ",'decoder':{'type':'Sequence','decoders':{}}}", TL_ERR_FORMAT,
         "list"},
        {"{" MODEL ",'decoder':{'type':'Replace','content':' '}}", TL_ERR_FORMAT,
         "'pattern'"},
        {"{" MODEL ",'decoder':{'type':'Metaspace'}}", TL_ERR_FORMAT, "'replacement'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char json[1024];
        requote(cases[i].json, json, sizeof json);
        tl_error err = {0};
        const tl_status status = open_content(json, &err);
        if (status != cases[i].status || strstr(err.text, cases[i].reason) == NULL)
            fail_msg("%s: %s: '%s'", json, tl_status_name(status), err.text);
        if (status != TL_OK && strstr(err.text, "/tmp/twinlens-test-") == NULL)
            fail_msg("'%s' does not name the file", err.text);
    }
}

static void a_sequence_inside_itself_without_end_is_refused(void **state)
{
    (void)state;
    char json[4096] = "{\"model\":{\"vocab\":{},\"merges\":[]},\"normalizer\":";
    size_t n = strlen(json);
    for (int depth = 0; depth < 50; depth++)
        n += (size_t)snprintf(json + n, sizeof json - n,
                              "{\"type\":\"Sequence\",\"normalizers\":[");
    for (int depth = 0; depth < 50; depth++)
        n += (size_t)snprintf(json + n, sizeof json - n, "]}");
    snprintf(json + n, sizeof json - n, "}");
    tl_error err = {0};
    assert_int_equal(open_content(json, &err), TL_ERR_FORMAT);
}

static void a_file_cut_anywhere_is_malformed(void **state)
{
    (void)state;
    size_t bytes;
    char *text = read_text(DATA "tokenizer/options.json", &bytes);
    while (bytes > 0 && text[bytes - 1] != '}')
        bytes--;
    while (bytes-- > 0) {
        text[bytes] = '\0';
        tl_error err = {0};
        if (open_content(text, &err) != TL_ERR_FORMAT)
            fail_msg("the first %zu bytes: %s", bytes, err.text);
    }
    free(text);
}

/* Whatever byte changes, the file opens and encodes, or is refused. */
static void a_file_with_any_byte_changed_does_no_harm(void **state)
{
    (void)state;
    size_t bytes, n_refused = 0;
    char *text = read_text(DATA "tokenizer/options.json", &bytes);
    static const char changes[] = {'"', '0', '9', '{', ']', ' ', 'x', '-', '\xff'};
    char path[] = "/tmp/twinlens-test-XXXXXX";
    make_temporary(path, "");
    tl_arena *arena = tl_arena_create();
    for (size_t i = 0; i < bytes; i++) {
        const char was = text[i];
        text[i] = changes[i % sizeof changes];
        FILE *file = fopen(path, "w");
        assert_int_equal(fwrite(text, 1, bytes, file), bytes);
        fclose(file);
        text[i] = was;
        tl_tokenizer *tokenizer = NULL;
        tl_error err = {0};
        const tl_token *tokens;
        size_t count;
        if (tl_tokenizer_open(path, &tokenizer, &err) == TL_OK)
            tl_tokenizer_encode(tokenizer, "a <mask> caf\xc3\xa9  <s>", 17, arena,
                                &tokens, &count, &err);
        else
            n_refused++;
        tl_tokenizer_close(tokenizer);
    }
    assert_true(n_refused > bytes / 4);
    tl_arena_destroy(arena);
    unlink(path);
    free(text);
}

static void a_missing_file_is_not_found(void **state)
{
    (void)state;
    tl_tokenizer *tokenizer = NULL;
    tl_error err = {0};
    assert_int_equal(tl_tokenizer_open(DATA "no/tokenizer.json", &tokenizer, &err),
                     TL_ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "no/tokenizer.json"));
    assert_null(tokenizer);
}

/* --- arguments, texts ------------------------------------------------------------------ */

static void senseless_arguments_are_refused(void **state)
{
    (void)state;
    tl_tokenizer *tokenizer = open_tokenizer(TINY_QWEN);
    tl_arena *arena = tl_arena_create();
    const tl_token *tokens = NULL;
    size_t count = 7;
    assert_int_equal(tl_tokenizer_open(NULL, &tokenizer, NULL), TL_ERR_ARGUMENT);
    assert_int_equal(tl_tokenizer_open(TINY_QWEN, NULL, NULL), TL_ERR_ARGUMENT);
    assert_int_equal(tl_tokenizer_encode(NULL, "a", 1, arena, &tokens, &count, NULL),
                     TL_ERR_ARGUMENT);
    assert_int_equal(
        tl_tokenizer_encode(tokenizer, NULL, 1, arena, &tokens, &count, NULL),
        TL_ERR_ARGUMENT);
    assert_int_equal(
        tl_tokenizer_encode(tokenizer, "a", 1, NULL, &tokens, &count, NULL),
        TL_ERR_ARGUMENT);
    assert_null(tokens);
    assert_int_equal(count, 7);
    assert_int_equal(
        tl_tokenizer_encode(tokenizer, NULL, 0, arena, &tokens, &count, NULL), TL_OK);
    assert_int_equal(count, 0);
    tl_tokenizer_close(tokenizer);
    tl_tokenizer_close(NULL);
    tl_arena_destroy(arena);
}

static void text_that_is_not_utf8_is_refused_with_the_place(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *reason;
    } cases[] = {
        {"ab\x80", "0x80 at offset 2"},
        {"\xff", "0xff at offset 0"},
        {"\xc0\x80", "0xc0 at offset 0"},
        {"a\xc3", "0xc3 at offset 1"},
        {"\xc3\x28", "0xc3 at offset 0"},
        {"\xe0\x80\x80", "0xe0 at offset 0"},
        {"\xed\xa0\x80", "0xed at offset 0"},
        {"\xf4\x90\x80\x80", "0xf4 at offset 0"},
        {"\xf0\x9f\x99", "0xf0 at offset 0"},
        {"\xf0\x80\x80\x80", "0xf0 at offset 0"},
        {"\xc3\xa9\xe6\x97", "0xe6 at offset 2"},
    };
    tl_tokenizer *tokenizer = open_tokenizer(TINY_QWEN);
    tl_arena *arena = tl_arena_create();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const tl_token *tokens = NULL;
        size_t count = 0;
        tl_error err = {0};
        assert_int_equal(tl_tokenizer_encode(tokenizer, cases[i].text,
                                             strlen(cases[i].text), arena, &tokens,
                                             &count, &err),
                         TL_ERR_DATA);
        if (strstr(err.text, cases[i].reason) == NULL)
            fail_msg("case %zu: '%s', wanted '%s'", i, err.text, cases[i].reason);
        assert_null(tokens);
    }
    tl_arena_destroy(arena);
    tl_tokenizer_close(tokenizer);
}

/* If a merge took time linear in the word, this would take hours. */
static void a_word_of_a_million_letters_is_no_trouble(void **state)
{
    (void)state;
    enum { BYTES = 1000000 };
    static const char *const paths[] = {TINY_QWEN, DATA "tokenizer/gemma3-tiny.json",
                                        DATA "tokenizer/unknown.json",
                                        DATA "tokenizer_forms/llama_4.json",
                                        DATA "tokenizer_forms/classes.json"};
    char *text = malloc(BYTES);
    for (size_t i = 0; i < BYTES; i++)
        text[i] = "there"[i % 5];
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        tl_tokenizer *tokenizer = open_tokenizer(paths[i]);
        tl_arena *arena = tl_arena_create();
        const tl_token *tokens = NULL;
        size_t count = 0, end = 0;
        assert_int_equal(
            tl_tokenizer_encode(tokenizer, text, BYTES, arena, &tokens, &count, NULL),
            TL_OK);
        for (size_t t = 0; t < count; t++) {
            assert_int_equal(tokens[t].begin, end);
            end = tokens[t].end;
        }
        assert_int_equal(end, BYTES);
        tl_arena_destroy(arena);
        tl_tokenizer_close(tokenizer);
    }
    free(text);
}

/* --- ids and texts of tokens ------------------------------------------------------------- */

static void tokens_are_found_by_their_exact_string(void **state)
{
    (void)state;
    tl_tokenizer *tokenizer = open_tokenizer(TINY_QWEN);
    assert_int_equal(tl_tokenizer_id(tokenizer, "<|image_pad|>"), 638);
    assert_int_equal(tl_tokenizer_id(tokenizer, "<|endoftext|>"), 626);
    assert_int_equal(tl_tokenizer_id(tokenizer, "!"), 0);
    assert_int_equal(tl_tokenizer_id(tokenizer, "\xc4\xa0s"), 257);
    assert_int_equal(tl_tokenizer_id(tokenizer, "<|image_pad"), -1);
    assert_int_equal(tl_tokenizer_id(tokenizer, ""), -1);
    assert_int_equal(tl_tokenizer_size(tokenizer), 640);
    tl_tokenizer_close(tokenizer);
}

static void a_token_is_shown_decoded(void **state)
{
    (void)state;
    static const struct {
        const char *path, *token, *text;
    } cases[] = {
        {TINY_QWEN, "\xc4\xa0s", " s"},
        {TINY_QWEN, "\xc4\x8a", "\n"},
        {TINY_QWEN, "\xc4\xb2", "\xef\xbf\xbd"}, /* the byte 0x90 */
        {TINY_QWEN, "<|im_start|>", "<|im_start|>"},
        {DATA "tokenizer/gemma3-tiny.json", "\xe2\x96\x81s", " s"},
        {DATA "tokenizer/gemma3-tiny.json", "<0x41>", "A"},
        {DATA "tokenizer/gemma3-tiny.json", "<0xE2>", "\xef\xbf\xbd"},
        {DATA "tokenizer/gemma3-tiny.json", "<unk>", "<unk>"},
        {DATA "tokenizer/options.json", "ab", "ab"},
        {DATA "tokenizer_forms/metaspace_old.json", "\xe2\x96\x81", " "},
        {DATA "tokenizer_forms/llama_4.json", "<0x41>", "A"},
        {DATA "tokenizer_forms/smolvlm.json", "\xc4\xa0", " "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tl_tokenizer *tokenizer = open_tokenizer(cases[i].path);
        tl_arena *arena = tl_arena_create();
        const int32_t id = tl_tokenizer_id(tokenizer, cases[i].token);
        if (id < 0)
            fail_msg("no token '%s'", cases[i].token);
        assert_string_equal(tl_tokenizer_text(tokenizer, id, arena), cases[i].text);
        assert_string_equal(tl_tokenizer_text(tokenizer, -1, arena), "");
        assert_string_equal(
            tl_tokenizer_text(tokenizer, (int32_t)tl_tokenizer_size(tokenizer), arena),
            "");
        tl_arena_destroy(arena);
        tl_tokenizer_close(tokenizer);
    }
}

/* --- several threads, little memory -------------------------------------------------------- */

static const char busy_text[] = "<|im_start|>user\nnai\xcc\x88ve  caf\xc3\xa9, we'll "
                                "<mask> <|im_end|>\n \xf0\x9f\x99\x82";

static void *encode_often(void *shared)
{
    const tl_tokenizer *tokenizer = shared;
    size_t wrong = 0;
    tl_arena *arena = tl_arena_create();
    const tl_token *first = NULL, *tokens = NULL;
    size_t first_count = 0, count = 0;
    for (size_t i = 0; i < 300; i++) {
        if (tl_tokenizer_encode(tokenizer, busy_text, sizeof busy_text - 1, arena,
                                &tokens, &count, NULL) != TL_OK)
            wrong++;
        if (i == 0) {
            first = tokens;
            first_count = count;
        }
        for (size_t t = 0; t < count && t < first_count; t++)
            wrong += tokens[t].id != first[t].id || tokens[t].begin != first[t].begin ||
                     tokens[t].end != first[t].end;
        wrong += count != first_count;
    }
    tl_arena_destroy(arena);
    return wrong == 0 ? shared : NULL;
}

static void threads_may_share_a_tokenizer(void **state)
{
    (void)state;
    tl_tokenizer *tokenizer = open_tokenizer(TINY_QWEN);
    pthread_t threads[4];
    size_t n_right = 0;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, encode_often, tokenizer), 0);
    for (size_t i = 0; i < 4; i++) {
        void *result = NULL;
        pthread_join(threads[i], &result);
        n_right += result == tokenizer;
    }
    assert_int_equal(n_right, 4);
    tl_tokenizer_close(tokenizer);
}

/* Opens and encodes; NO_MEMORY at whatever point is fine, anything else is not. */
static tl_status open_and_encode(const char *path)
{
    tl_tokenizer *tokenizer = NULL;
    tl_arena *arena = tl_arena_create();
    const tl_token *tokens = NULL;
    size_t count = 0;
    tl_error err = {0};
    tl_status status = arena == NULL ? TL_ERR_NO_MEMORY : TL_OK;
    if (status == TL_OK)
        status = tl_tokenizer_open(path, &tokenizer, &err);
    if (status == TL_OK)
        status = tl_tokenizer_encode(tokenizer, busy_text, sizeof busy_text - 1, arena,
                                     &tokens, &count, &err);
    if (status == TL_OK && tl_tokenizer_text(tokenizer, 3, arena) == NULL)
        status = TL_ERR_NO_MEMORY;
    tl_tokenizer_close(tokenizer);
    tl_arena_destroy(arena);
    return status;
}

static void a_failing_allocation_is_reported_and_leaks_nothing(void **state)
{
    (void)state;
    static const char *const paths[] = {TINY_QWEN, DATA "tokenizer/gemma3-tiny.json",
                                        DATA "tokenizer/options.json"};
    const size_t live = tl_alloc_live();
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        for (long long n = 0;; n++) {
            tl_alloc_fail_at(n);
            const tl_status status = open_and_encode(paths[i]);
            const bool hit = tl_alloc_fault_hit() != 0;
            tl_alloc_fail_at(-1);
            if (tl_alloc_live() != live)
                fail_msg("%s: allocation %d fails: %zu blocks leak", paths[i], (int)n,
                         tl_alloc_live() - live);
            if (status != TL_OK && status != TL_ERR_NO_MEMORY)
                fail_msg("%s: allocation %d fails: %s", paths[i], (int)n,
                         tl_status_name(status));
            assert_true(hit || status == TL_OK);
            if (!hit)
                break;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nasty_texts_give_the_recorded_ids_and_offsets),
        cmocka_unit_test(all_seven_tokenizers_agree_with_the_record),
        cmocka_unit_test(other_programs_records_agree),
        cmocka_unit_test(senseless_files_are_refused_with_a_reason),
        cmocka_unit_test(a_sequence_inside_itself_without_end_is_refused),
        cmocka_unit_test(a_file_cut_anywhere_is_malformed),
        cmocka_unit_test(a_file_with_any_byte_changed_does_no_harm),
        cmocka_unit_test(a_missing_file_is_not_found),
        cmocka_unit_test(senseless_arguments_are_refused),
        cmocka_unit_test(text_that_is_not_utf8_is_refused_with_the_place),
        cmocka_unit_test(a_word_of_a_million_letters_is_no_trouble),
        cmocka_unit_test(tokens_are_found_by_their_exact_string),
        cmocka_unit_test(a_token_is_shown_decoded),
        cmocka_unit_test(threads_may_share_a_tokenizer),
        cmocka_unit_test(a_failing_allocation_is_reported_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
