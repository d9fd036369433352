/*
 * fuzz_safetensors.c - any bytes as a safetensors file: refused, or opened with every
 * byte of every tensor readable. A name ends in .index.json when the first byte is
 * even, so that indexes are tried as well; the first byte is not in the file.
 *
 *     clang -g -O1 -fsanitize=fuzzer,address,undefined ... fuzz_safetensors.c
 *     ./fuzz_safetensors CORPUS
 *
 * Built with -DTL_FUZZ_MAIN it needs no libFuzzer and runs the files it is given.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "twinlens/safetensors.h"

enum { MAX_BYTES = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void read_all(const tl_safetensors *file)
{
    static volatile unsigned char sum;
    for (size_t i = 0; i < tl_safetensors_count(file); i++) {
        const tl_tensor *t = tl_safetensors_at(file, i);
        const size_t n = tl_tensor_count(t) * tl_dtype_bytes(t->dtype);
        if (tl_safetensors_find(file, tl_safetensors_name(file, i)) != t)
            abort();
        if ((uintptr_t)t->data % tl_dtype_bytes(t->dtype) != 0)
            abort();
        for (size_t k = 0; k < n; k++)
            sum = (unsigned char)(sum + ((const unsigned char *)t->data)[k]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    if (bytes < 1 || bytes > MAX_BYTES)
        return 0;
    char path[64];
    snprintf(path, sizeof path, "/tmp/fuzz-%ld%s", (long)getpid(),
             data[0] % 2 == 0 ? ".index.json" : "");
    FILE *stream = fopen(path, "wb");
    if (stream == NULL || fwrite(data + 1, 1, bytes - 1, stream) != bytes - 1)
        abort();
    fclose(stream);
    tl_safetensors *file = NULL;
    tl_error err = {0};
    if (tl_safetensors_open(path, &file, &err) == TL_OK)
        read_all(file);
    else if (file != NULL || err.text[0] == '\0')
        abort();
    tl_safetensors_close(file);
    remove(path);
    return 0;
}

#ifdef TL_FUZZ_MAIN
int main(int argc, char **argv)
{
    static uint8_t data[MAX_BYTES + 1];
    for (int i = 1; i < argc; i++) {
        FILE *stream = fopen(argv[i], "rb");
        if (stream == NULL)
            return 1;
        const size_t bytes = fread(data, 1, sizeof data, stream);
        fclose(stream);
        LLVMFuzzerTestOneInput(data, bytes);
    }
    return 0;
}
#endif
