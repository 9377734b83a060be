/*
 * Answers with the C library that ModSecurity brings. Reads values, each behind its length in four bytes (little
 * endian); writes for each the fingerprint of its SQL in eight bytes, NUL where there is none.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int libinjection_sqli(const char *value, size_t length, char fingerprint[]);

int main(void)
{
    unsigned char head[4];
    while (fread(head, 1, 4, stdin) == 4) {
        uint32_t length = head[0] | head[1] << 8 | head[2] << 16 | (uint32_t)head[3] << 24;
        /* The library reads the byte behind a value, which is NUL in a string. */
        char *value = calloc(1, (size_t)length + 1);
        char answer[8] = {0};
        if (value == NULL || fread(value, 1, length, stdin) != length)
            return 1;
        if (!libinjection_sqli(value, length, answer))
            answer[0] = 0;
        free(value);
        if (fwrite(answer, 1, 8, stdout) != 8)
            return 1;
    }
    return fflush(stdout) != 0;
}
