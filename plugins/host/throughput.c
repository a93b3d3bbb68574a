/* What one core of this machine does per second, at best: counts of plain instruction sequences. */

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#if defined(__AVX512F__)
#define BITS 512
#define REGISTER "v"
#elif defined(__AVX__)
#define BITS 256
#define REGISTER "x"
#elif defined(__x86_64__)
#define BITS 128
#define REGISTER "x"
#else
#define BITS 128
#define REGISTER "w"
#endif

typedef float vector __attribute__((vector_size(BITS / 8)));

enum { ROUNDS = 20000, REPEATS = 5 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

/* The compiler can neither drop nor merge what goes through this. */
#define OPAQUE(x) __asm__ volatile("" : "+" REGISTER(x))

/* Additions per second of which each needs the one before: the clock. */
static void additions(void *memory, size_t bytes) {
    uint64_t x = 1;
    (void)memory, (void)bytes;
    for (int i = 0; i < ROUNDS; i++)
#pragma clang loop unroll(full)
        for (int j = 0; j < 16; j++) {
            x += 3;
            __asm__ volatile("" : "+r"(x));
        }
}

static void nothings(void *memory, size_t bytes) {
    (void)memory, (void)bytes;
    for (int i = 0; i < ROUNDS; i++)
        __asm__ volatile("nop\n nop\n nop\n nop\n nop\n nop\n nop\n nop\n nop\n nop\n nop\n nop\n nop\n nop");
}

static void multiply_adds(void *memory, size_t bytes) {
    vector sums[12] = {0}, a = *(vector *)memory, b = a;
    (void)bytes;
    for (int i = 0; i < ROUNDS; i++) {
        OPAQUE(a);
#pragma clang loop unroll(full)
        for (int j = 0; j < 12; j++) {
            sums[j] = a * b + sums[j];
            OPAQUE(sums[j]);
        }
    }
}

static void loads(void *memory, size_t bytes) {
    (void)bytes;
    for (int i = 0; i < ROUNDS; i++)
#pragma clang loop unroll(full)
        for (int j = 0; j < 16; j++) {
            vector x = ((volatile vector *)memory)[j];
            __asm__ volatile("" ::REGISTER(x));
        }
}

static void stream(void *memory, size_t bytes) {
    for (size_t at = 0; at < bytes; at += 8 * sizeof(vector))
#pragma clang loop unroll(full)
        for (int j = 0; j < 8; j++) {
            vector x = ((volatile vector *)((char *)memory + at))[j];
            __asm__ volatile("" ::REGISTER(x));
        }
}

static double fastest(void (*run)(void *, size_t), void *memory, size_t bytes) {
    double best = 1e9;
    for (int i = 0; i < REPEATS; i++) {
        double began = now();
        run(memory, bytes);
        double took = now() - began;
        if (took < best) best = took;
    }
    return best;
}

/* out: additions that wait for each other, instructions, multiply-adds and loads of vectors, and
   bytes from memory, per second; and the bits of a vector.  memory: `bytes` bytes, many times any
   cache, at a multiple of 64. */
void vertebra_throughput(void *memory, size_t bytes, double out[6]) {
    out[0] = 16.0 * ROUNDS / fastest(additions, memory, bytes);
    out[1] = 16.0 * ROUNDS / fastest(nothings, memory, bytes); /* with the two of the loop itself */
    out[2] = 12.0 * ROUNDS / fastest(multiply_adds, memory, bytes);
    out[3] = 16.0 * ROUNDS / fastest(loads, memory, bytes);
    out[4] = bytes / fastest(stream, memory, bytes);
    out[5] = BITS;
}
