/* The cases of tests/bits through the C interface: the hashes that every other caller gets, and what a wrong
 * call gets back. C99; runs on a computer, and as a firmware where SUANZI_FIRMWARE is defined (firmware.c).
 *
 * `bits.h` is tests/bits.txt as strings, made by `.ci/run capi`. */
#include "suanzi.h"

#include <stdint.h>
#include <string.h>

static const char *const EXPECTED[] = {
#include "bits.h"
};

/* Writes a line; firmware.c or hosted.c has it. */
void put(const char *text);

/* Elements of an operand: the longest row of the file. */
enum { LEN = 128256, TURNS = 64, TABLE = 4 * 128 };

static float x[LEN], y[LEN], out[LEN], state[LEN];
static int cases, differences;

/* --- operands and hashes, as tests/bits/cases.rs has them ------------------------------------------------ */

static uint64_t next(uint64_t *random) {
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return *random ^ *random >> 33;
}

static float scaled(uint64_t word, float unit) {
    return (float)((int32_t)(word >> 40) - (1 << 23)) * unit;
}

static void fill(void) {
    uint64_t random = 2026;
    for (size_t i = 0; i < LEN; i++) {
        x[i] = scaled(next(&random), 1.0f / (1 << 20));
        y[i] = scaled(next(&random), 1.0f / (1 << 23));
        next(&random);
    }
}

static uint32_t bits(float value) {
    uint32_t word;
    memcpy(&word, &value, sizeof word);
    return word;
}

static uint64_t hash_word(uint64_t hash, uint64_t word) {
    for (int i = 0; i < 8; i++) {
        hash = (hash ^ (word >> 8 * i & 255)) * UINT64_C(0x100000001b3);
    }
    return hash;
}

static uint64_t hash_array(uint64_t hash, const float *written) {
    size_t len = LEN;
    while (len > 0 && bits(written[len - 1]) == 0) {
        len--;
    }
    hash = hash_word(hash, len);
    for (size_t i = 0; i < len; i++) {
        hash = hash_word(hash, bits(written[i]));
    }
    return hash;
}

/* Appends a number in a base to a text. */
static char *number(char *to, uint64_t value, unsigned base, int digits) {
    char reversed[20];
    int count = 0;
    do {
        reversed[count++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value > 0 || count < digits);
    while (count > 0) {
        *to++ = reversed[--count];
    }
    *to = 0;
    return to;
}

/* Runs an operation at every length of a line of the file, and looks for the line. */
static void check(const char *name, suanzi_status (*operation)(uint32_t, size_t), uint32_t executor, size_t from,
                  size_t to) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    suanzi_status status = SUANZI_STATUS_OK;
    for (size_t n = from; n <= to; n++) {
        memset(out, 0, sizeof out);
        memset(state, 0, sizeof state);
        suanzi_status one = operation(executor, n);
        status = status == SUANZI_STATUS_OK ? one : status;
        hash = hash_array(hash_array(hash, out), state);
    }
    char line[128];
    strcpy(line, name);
    char *end = line + strlen(line);
    strcpy(end, " f32 ");
    end = number(end + 5, from, 10, 1);
    *end++ = ' ';
    end = number(end, to, 10, 1);
    *end++ = ' ';
    number(end, hash, 16, 16);
    int found = 0;
    for (size_t i = 0; i < sizeof EXPECTED / sizeof *EXPECTED; i++) {
        found |= strcmp(EXPECTED[i], line) == 0;
    }
    cases++;
    if (status != SUANZI_STATUS_OK || !found) {
        differences++;
        put(line);
        put(status == SUANZI_STATUS_OK ? "  DIFFERS" : suanzi_message((uint32_t)status));
    }
}

/* Leaves a function at the first status that is not good. */
#define TRY(call)                                                                                                \
    do {                                                                                                         \
        suanzi_status status_ = (call);                                                                          \
        if (status_ != SUANZI_STATUS_OK) {                                                                       \
            return status_;                                                                                      \
        }                                                                                                        \
    } while (0)

/* --- operations, as tests/bits/operations.rs has them ---------------------------------------------------- */

static const suanzi_logits SCALED = {1.25f, 0.0f, NULL, NULL, 0};

static suanzi_status softmax(uint32_t executor, size_t n) {
    return suanzi_softmax_f32(executor, NULL, x, out, 1, n);
}

static suanzi_status softmax_of_scores(uint32_t executor, size_t n) {
    suanzi_logits biased = {1.25f, 0.0f, NULL, y, n};
    TRY(suanzi_softmax_f32(executor, &biased, x, out, 1, n));
    uint8_t keep[1000];
    for (size_t i = 0; i < n; i++) {
        keep[i] = i % 7 != 3;
    }
    suanzi_logits capped = {1.0f, 1.25f, keep, NULL, n};
    memcpy(state, x, n * sizeof *x);
    return suanzi_softmax_f32(executor, &capped, state, state, 1, n);
}

static suanzi_status log_softmax(uint32_t executor, size_t n) {
    TRY(suanzi_log_softmax_f32(executor, NULL, x, out, 1, n));
    TRY(suanzi_log_softmax_f32(executor, &SCALED, x, state, 1, n));
    return suanzi_log_softmax_f32(executor, NULL, state, state, 1, n);
}

static suanzi_status log_sum_exp(uint32_t executor, size_t n) {
    TRY(suanzi_log_sum_exp_f32(executor, NULL, x, 1, n, out));
    size_t row = n / 4;
    suanzi_logits biased = {1.0f, 0.0f, NULL, y, row};
    return suanzi_log_sum_exp_f32(executor, row > 0 ? &biased : NULL, x, row > 0 ? 4 : 0, row, state);
}

static suanzi_status rope(uint32_t executor, size_t n) {
    static uint64_t turns[TURNS];
    const double base = 10000.0;
    suanzi_head head = {2 * n + 4, 2 * n, SUANZI_PAIRING_INTERLEAVED};
    int32_t at = 1000000 + (int32_t)n;
    const int32_t positions[4] = {at, at, 3, -3};
    TRY(suanzi_rope_turns_f32(&head, &base, turns, suanzi_rope_turns_len(head.rotary_dim)));
    memcpy(out, x, 4 * head.head_dim * sizeof *x);
    memcpy(state, x, 4 * head.head_dim * sizeof *x);
    TRY(suanzi_rope_rotate_f32(executor, &head, turns, out, 4, at));
    TRY(suanzi_rope_rotate_f32(executor, &head, turns, state, 4, at));
    TRY(suanzi_rope_unrotate_f32(executor, &head, turns, state, 4, at - 1));
    TRY(suanzi_rope_shift_f32(executor, &head, turns, state, 4, at));
    for (size_t i = 0; i < 4; i++) {
        TRY(suanzi_rope_rotate_f32(executor, &head, turns, state + i * head.head_dim, 1, positions[i]));
    }
    return SUANZI_STATUS_OK;
}

static suanzi_status rope_table(uint32_t executor, size_t n) {
    static uint64_t turns[TURNS];
    static float table[TABLE];
    const double base = 10000.0;
    suanzi_head head = {2 * n + 4, 2 * n, SUANZI_PAIRING_HALF_SPLIT};
    int32_t at = 1000000 + (int32_t)n;
    const int32_t positions[8] = {at, at + 1, at + 1, at, at + 1, at + 1, at, at};
    if (suanzi_rope_table_len(4, head.rotary_dim) > TABLE) {
        return SUANZI_STATUS_LENGTH;
    }
    TRY(suanzi_rope_turns_f32(&head, &base, turns, suanzi_rope_turns_len(head.rotary_dim)));
    TRY(suanzi_rope_table_fill_f32(&head, turns, at, table, 4));
    memcpy(out, x, 4 * head.head_dim * sizeof *x);
    memcpy(state, x, 4 * head.head_dim * sizeof *x);
    TRY(suanzi_rope_table_rotate_f32(executor, &head, at, table, 4, out, 4, at + 1));
    for (size_t i = 0; i < 8; i++) {
        float *token = state + i % 4 * head.head_dim;
        TRY(suanzi_rope_table_rotate_f32(executor, &head, at, table, 4, token, 1, positions[i]));
    }
    TRY(suanzi_rope_table_rotate_f32(executor, &head, at, table, 4, state, 4, at));
    return suanzi_rope_table_unrotate_f32(executor, &head, at, table, 4, state, 4, at + 1);
}

static suanzi_status attention(uint32_t executor, size_t n) {
    suanzi_attention options = {4, 2, 6, 5, 0, 0, 1.25f, SUANZI_CACHE_LAYOUT_TOKEN_MAJOR};
    suanzi_attention windowed = {4, 2, 6, 5, 7, 2, 1.25f, SUANZI_CACHE_LAYOUT_TOKEN_MAJOR};
    size_t keys = suanzi_cache_len(2, 6, n), values = suanzi_cache_len(2, 5, n);
    suanzi_cache cache = {state, state + keys, n, 0};
    float *scratch = state + keys + values, *lse = out + 20, *rest = lse + 4;
    size_t scratch_len = suanzi_attention_scratch_len_f32(&options, n);
    TRY(suanzi_cache_append_f32(&options, &cache, x, y, n));
    TRY(suanzi_attend_f32(executor, &options, &cache, n, y, scratch, scratch_len, out, lse));
    TRY(suanzi_attend_f32(executor, &windowed, &cache, n, y, scratch, scratch_len, rest, NULL));
    cache.len = n / 2;
    TRY(suanzi_attend_f32(executor, &options, &cache, n / 2, y, scratch, scratch_len, out, NULL));
    memset(scratch, 0, scratch_len * sizeof *scratch);
    return SUANZI_STATUS_OK;
}

/* --- wrong calls ---------------------------------------------------------------------------------------- */

static void expect(const char *what, suanzi_status found, suanzi_status wanted) {
    cases++;
    if (found != wanted) {
        differences++;
        put(what);
        put(suanzi_message((uint32_t)found));
    }
}

/* Every refusal leaves the output as it was. */
static void refusals(void) {
    float one[8] = {1, 2, 3, 4, 5, 6, 7, 8}, two[8];
    uint8_t wrong[4] = {0, 1, 2, 1};
    memcpy(two, one, sizeof one);
    suanzi_logits infinite = {1.0f / out[LEN - 1], 0.0f, NULL, NULL, 0};
    suanzi_logits negative = {1.0f, -1.0f, NULL, NULL, 0};
    suanzi_logits bytes = {1.0f, 0.0f, wrong, NULL, 4};
    suanzi_logits both = {1.0f, 0.0f, wrong, one, 4};
    suanzi_logits few = {1.0f, 0.0f, NULL, one, 3};
    expect("null", suanzi_softmax_f32(0, NULL, NULL, two, 1, 4), SUANZI_STATUS_NULL);
    expect("null output", suanzi_softmax_f32(0, NULL, one, NULL, 1, 4), SUANZI_STATUS_NULL);
    expect("nothing", suanzi_softmax_f32(0, NULL, NULL, NULL, 0, 4), SUANZI_STATUS_OK);
    expect("overlap", suanzi_softmax_f32(0, NULL, two, two + 1, 1, 4), SUANZI_STATUS_OVERLAP);
    expect("overflow", suanzi_softmax_f32(0, NULL, one, two, SIZE_MAX, 2), SUANZI_STATUS_LENGTH);
    expect("huge", suanzi_softmax_f32(0, NULL, one, two, 1, SIZE_MAX / 4), SUANZI_STATUS_LENGTH);
    expect("executor", suanzi_softmax_f32(99, NULL, one, two, 1, 4), SUANZI_STATUS_UNSUPPORTED);
    expect("scale", suanzi_softmax_f32(0, &infinite, one, two, 1, 4), SUANZI_STATUS_SCALE);
    expect("soft cap", suanzi_softmax_f32(0, &negative, one, two, 1, 4), SUANZI_STATUS_SOFTCAP);
    expect("keep", suanzi_softmax_f32(0, &bytes, one, two, 1, 4), SUANZI_STATUS_MASK);
    expect("both masks", suanzi_softmax_f32(0, &both, one, two, 1, 4), SUANZI_STATUS_MASK);
    expect("mask", suanzi_softmax_f32(0, &few, one, two, 2, 4), SUANZI_STATUS_LENGTH);
    expect("address", suanzi_softmax_f32(0, NULL, (const float *)((const char *)one + 1), two, 1, 1),
           SUANZI_STATUS_ALIGNMENT);

    uint64_t turns[4];
    const double low = 1.0, base = 10000.0;
    suanzi_head head = {8, 8, SUANZI_PAIRING_HALF_SPLIT}, odd = {8, 3, 0}, third = {8, 8, 2};
    expect("base", suanzi_rope_turns_f32(&head, &low, turns, 4), SUANZI_STATUS_BASE);
    expect("turns", suanzi_rope_turns_f32(&head, &base, turns, 3), SUANZI_STATUS_LENGTH);
    expect("odd", suanzi_rope_turns_f32(&odd, &base, turns, 1), SUANZI_STATUS_ROTARY_DIM);
    expect("pairing", suanzi_rope_turns_f32(&third, &base, turns, 4), SUANZI_STATUS_CHOICE);
    expect("turns", suanzi_rope_turns_f32(&head, &base, turns, 4), SUANZI_STATUS_OK);
    float table[8];
    expect("table", suanzi_rope_table_fill_f32(&head, turns, 5, table, 1), SUANZI_STATUS_OK);
    expect("position", suanzi_rope_table_rotate_f32(0, &head, 5, table, 1, two, 1, 6), SUANZI_STATUS_POSITION);
    expect("head", suanzi_rope_rotate_f32(0, NULL, turns, two, 1, 6), SUANZI_STATUS_NULL);

    suanzi_attention options = {2, 1, 4, 4, 0, 0, 0.0f, 0}, heads = {3, 2, 4, 4, 0, 0, 0.0f, 0};
    suanzi_attention sinks = {2, 1, 4, 4, 0, 1, 0.0f, 0};
    float keys[4], values[4];
    suanzi_cache cache = {keys, values, 1, 0}, beyond = {keys, values, 1, 2};
    expect("heads", suanzi_cache_append_f32(&heads, &cache, one, one, 1), SUANZI_STATUS_HEADS);
    expect("sinks", suanzi_cache_append_f32(&sinks, &cache, one, one, 1), SUANZI_STATUS_WINDOW);
    expect("beyond", suanzi_cache_append_f32(&options, &beyond, one, one, 0), SUANZI_STATUS_CAPACITY);
    expect("append", suanzi_cache_append_f32(&options, &cache, one, one, 1), SUANZI_STATUS_OK);
    expect("full", suanzi_cache_append_f32(&options, &cache, one, one, 1), SUANZI_STATUS_CAPACITY);
    expect("scratch", suanzi_attend_f32(0, &options, &cache, 1, one, out, 1, two, NULL), SUANZI_STATUS_LENGTH);
    expect("visible", suanzi_attend_f32(0, &options, &cache, 2, one, out, LEN, two, NULL),
           SUANZI_STATUS_CAPACITY);

    cases++;
    if (memcmp(one, two, sizeof one) != 0) {
        differences++;
        put("a call that was refused has written");
    }
}

/* Runs everything on every executor of this processor; returns whether all is as it should be. */
int check_all(void) {
    fill();
    for (uint32_t executor = 0; executor <= SUANZI_EXECUTOR_SIMD128; executor++) {
        if (executor == SUANZI_EXECUTOR_FUSED || suanzi_executor_check(executor) != SUANZI_STATUS_OK) {
            continue;
        }
        check("softmax", softmax, executor, 0, 33);
        check("softmax", softmax, executor, 1000, 1000);
        check("softmax", softmax, executor, 4096, 4096);
        check("softmax", softmax, executor, 128256, 128256);
        check("softmax_of_scores", softmax_of_scores, executor, 0, 33);
        check("softmax_of_scores", softmax_of_scores, executor, 1000, 1000);
        check("log_softmax", log_softmax, executor, 0, 33);
        check("log_softmax", log_softmax, executor, 1000, 1000);
        check("log_softmax", log_softmax, executor, 4096, 4096);
        check("log_softmax", log_softmax, executor, 128256, 128256);
        check("log_sum_exp", log_sum_exp, executor, 0, 33);
        check("log_sum_exp", log_sum_exp, executor, 1000, 1000);
        check("log_sum_exp", log_sum_exp, executor, 4096, 4096);
        check("log_sum_exp", log_sum_exp, executor, 128256, 128256);
        check("rope", rope, executor, 1, 33);
        check("rope", rope, executor, 64, 64);
        check("rope_table", rope_table, executor, 1, 33);
        check("rope_table", rope_table, executor, 64, 64);
        check("attention", attention, executor, 1, 8);
        check("attention", attention, executor, 9, 20);
        check("attention", attention, executor, 63, 66);
        check("attention", attention, executor, 130, 130);
    }
    memset(out, 0, sizeof out);
    refusals();
    char line[64] = "cases through C: ";
    char *end = number(line + strlen(line), (uint64_t)cases, 10, 1);
    strcpy(end, ", differences: ");
    number(end + strlen(end), (uint64_t)differences, 10, 1);
    put(line);
    return cases > 0 && differences == 0;
}
