/* check.c on a computer. */
#include <stdio.h>

int check_all(void);

void put(const char *text) {
    puts(text);
}

int main(void) {
    return check_all() ? 0 : 1;
}
