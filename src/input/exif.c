/* SPDX-License-Identifier: MIT
 * exif.c - see exif.h. EXIF is a TIFF file without pixels: a header that tells the
 * byte order and where the first directory is, a count of entries, and entries of
 * 12 bytes: tag, type, count, and the value or (over 4 bytes) its place. */
#include "input/exif.h"

#include <stdbool.h>
#include <string.h>

enum { TAG_ORIENTATION = 274, HEADER_BYTES = 8, ENTRY_BYTES = 12 };

typedef enum tiff_type {
    TIFF_SHORT = 3,
    TIFF_LONG = 4,
    TIFF_RATIONAL = 5,
    TIFF_SIGNED_BYTE = 6,
    TIFF_SIGNED_SHORT = 8,
    TIFF_SIGNED_LONG = 9,
    TIFF_SIGNED_RATIONAL = 10,
    TIFF_FLOAT = 11,
    TIFF_DOUBLE = 12,
    TIFF_IFD = 13,
    TIFF_LONG8 = 16,
} tiff_type;

/* Bytes per value; 0 for the types that nobody defined. */
static const uint8_t type_bytes[17] = {0, 1, 1, 2, 4, 8, 1, 1, 2,
                                       4, 8, 4, 8, 4, 0, 0, 8};

static uint64_t read_number(const uint8_t *at, size_t bytes, bool big_endian)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | at[big_endian ? i : bytes - 1 - i];
    return value;
}

/* The whole number 0..9 that a value of any numeric type stands for, or 0. Bytes
 * and texts are no numbers to Pillow. */
static int read_digit(tiff_type type, const uint8_t *at, bool big_endian)
{
    const uint64_t bits = read_number(at, type_bytes[type], big_endian);
    double value = 0;
    switch (type) {
    case TIFF_SHORT:
    case TIFF_LONG:
    case TIFF_IFD:
    case TIFF_LONG8:
    case TIFF_SIGNED_BYTE: /* a negative one reads as a large one: no digit either */
    case TIFF_SIGNED_SHORT:
    case TIFF_SIGNED_LONG: value = (double)bits; break;
    case TIFF_FLOAT: {
        const uint32_t low = (uint32_t)bits;
        float number;
        memcpy(&number, &low, sizeof number);
        value = (double)number;
        break;
    }
    case TIFF_DOUBLE: memcpy(&value, &bits, sizeof value); break;
    case TIFF_RATIONAL:
    case TIFF_SIGNED_RATIONAL: {
        double top = (double)read_number(at, 4, big_endian);
        double below = (double)read_number(at + 4, 4, big_endian);
        if (type == TIFF_SIGNED_RATIONAL) {
            top -= top >= 0x1p31 ? 0x1p32 : 0;
            below -= below >= 0x1p31 ? 0x1p32 : 0;
        }
        value = below != 0 ? top / below : 0;
        break;
    }
    }
    for (int digit = 1; digit <= 9; digit++)
        if (value == digit)
            return digit;
    return 0;
}

/* Whether the first directory has the tag; *orientation is then its value. Like
 * Pillow it stops at the first entry that points outside, and keeps the first of
 * several with one tag. */
static bool find_in_tiff(const uint8_t *tiff, size_t bytes, int *orientation)
{
    const bool big_endian = tiff[0] == 'M';
    const uint64_t directory = read_number(tiff + 4, 4, big_endian);
    if (directory > bytes || bytes - directory < 2)
        return false;
    const uint8_t *entry = tiff + directory + 2;
    size_t left = bytes - (size_t)directory - 2;
    uint64_t outside_bytes = 0; /* of all values that do not fit into their entry */
    for (uint64_t n = read_number(entry - 2, 2, big_endian); n > 0; n--) {
        if (left < ENTRY_BYTES)
            return false;
        const uint64_t tag = read_number(entry, 2, big_endian);
        const uint64_t type = read_number(entry + 2, 2, big_endian);
        const uint64_t count = read_number(entry + 4, 4, big_endian);
        const uint8_t *value = entry + 8;
        entry += ENTRY_BYTES;
        left -= ENTRY_BYTES;
        if (type >= sizeof type_bytes || type_bytes[type] == 0 || count == 0)
            continue;
        const uint64_t value_bytes = count * type_bytes[type];
        if (value_bytes > 4) {
            outside_bytes += value_bytes;
            if (outside_bytes > bytes)
                continue;
            const uint64_t place = read_number(value, 4, big_endian);
            if (place > bytes || value_bytes > bytes - place)
                return false;
            value = tiff + place;
        }
        if (tag == TAG_ORIENTATION) {
            *orientation = read_digit((tiff_type)type, value, big_endian);
            return true;
        }
    }
    return false;
}

/* tiff:Orientation="6" or <tiff:Orientation>6<, wherever it stands first. */
static int find_in_xmp(const uint8_t *xmp, size_t bytes)
{
    static const char name[] = "tiff:Orientation";
    const size_t name_bytes = sizeof name - 1;
    for (size_t i = 0; i + name_bytes + 2 <= bytes; i++) {
        if (xmp[i] != 't' || memcmp(xmp + i, name, name_bytes) != 0)
            continue;
        const uint8_t *value = xmp + i + name_bytes;
        const size_t left = bytes - i - name_bytes;
        if (value[0] == '>')
            value += 1;
        else if (left >= 3 && value[0] == '=' && value[1] == '"')
            value += 2;
        else
            continue;
        if (*value >= '0' && *value <= '9')
            return *value - '0';
    }
    return 0;
}

static bool is_tiff(const uint8_t *tiff, size_t bytes)
{
    /* The last two are wrong, but cameras write them and Pillow reads them; 2b with
     * MM is one more of these, with II it is BigTIFF, which EXIF cannot be. */
    static const char *const starts[] = {"MM\0\x2a", "II\x2a\0", "MM\0\x2b", "MM\x2a\0",
                                         "II\0\x2a"};
    if (bytes < HEADER_BYTES)
        return false;
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++)
        if (memcmp(tiff, starts[i], 4) == 0)
            return true;
    return false;
}

tl_status tl_exif_orientation(const tl_metadata *metadata, int *orientation,
                              tl_error *err)
{
    const uint8_t *tiff = metadata->exif;
    size_t bytes = metadata->exif_bytes;
    for (int i = 0; i < 2 && bytes >= 6 && memcmp(tiff, "Exif\0\0", 6) == 0; i++) {
        tiff += 6;
        bytes -= 6;
    }
    int found = 0;
    if (bytes > 0 && !is_tiff(tiff, bytes))
        return tl_fail(err, TL_ERR_FORMAT,
                       "EXIF block of %zu bytes has no TIFF header ('II' or 'MM')",
                       bytes);
    if (bytes == 0 || !find_in_tiff(tiff, bytes, &found))
        found = find_in_xmp(metadata->xmp, metadata->xmp_bytes);
    *orientation = found >= 1 && found <= 8 ? found : 1;
    return TL_OK;
}
