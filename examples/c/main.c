/* Triton kernels in a C program, compared with plain loops.
 *
 * kernels.toml says of what the library is made; run.sh builds and runs all. */
#include "libkernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { BLOCK = 32, MOST = 300 }; /* BLOCK_M and BLOCK_N of the product; the most rows and columns here */
static const double ALLOWED = 1e-5;
static int failures;

/* Numbers between -1 and 1 that are the same everywhere. */
static float *numbers(int count, unsigned seed) {
  float *made = malloc(sizeof *made * (size_t)count);
  for (int i = 0; made && i < count; i++) {
    seed = seed * 1664525u + 1013904223u;
    made[i] = (float)(int)(seed >> 8 & 0xffff) / 32768.0f - 1.0f;
  }
  if (!made)
    exit(2);
  return made;
}

static void tell(const char *what, int specialisation, int status, double error) {
  int passed = status == VERTEBRA_OK && error <= ALLOWED;
  failures += !passed;
  printf("%-24s specialisation %d  greatest error %.1e  %s\n", what, specialisation, error,
         passed ? "passed" : status ? "FAILED:" : "FAILED");
  if (status)
    printf("  %s\n", kernels_message());
}

static void check_softmax(int rows, int columns) {
  float *x = numbers(rows * columns, 1), *out = numbers(rows * columns, 2);
  struct softmax_args args = {
      .x_ptr = x, .out_ptr = out, .x_stride = columns, .out_stride = columns, .n = columns};
  int status = softmax_launch(&args, rows, 1, 1, 0);
  double worst = 0;
  for (int i = 0; i < rows; i++) {
    double sum = 0;
    for (int j = 0; j < columns; j++)
      sum += exp(x[i * columns + j]);
    for (int j = 0; j < columns; j++)
      worst = fmax(worst, fabs(out[i * columns + j] - exp(x[i * columns + j]) / sum));
  }
  char what[64];
  snprintf(what, sizeof what, "softmax %dx%d", rows, columns);
  tell(what, softmax_choose(&args), status, worst);
  free(x);
  free(out);
}

/* c = a @ b, where the rows of a, b and c are `pitch` numbers apart. */
static void check_matmul(int m, int n, int k, int pitch) {
  static _Alignas(16) float a[MOST * MOST], b[MOST * MOST], c[MOST * MOST];
  float *from = numbers(MOST * MOST, 3);
  for (int i = 0; i < MOST * MOST; i++)
    a[i] = from[i], b[i] = from[MOST * MOST - 1 - i], c[i] = -7;
  free(from);
  struct matmul_args args = {
      .a_ptr = a, .b_ptr = b, .c_ptr = c, .m = m, .n = n, .k = k,
      .stride_am = pitch, .stride_ak = 1, .stride_bk = pitch, .stride_bn = 1, .stride_cm = pitch, .stride_cn = 1};
  int blocks = (m + BLOCK - 1) / BLOCK * ((n + BLOCK - 1) / BLOCK);
  int status = matmul_launch(&args, blocks, 1, 1, 2);
  double worst = 0;
  for (int i = 0; i < m; i++)
    for (int j = 0; j < pitch; j++) {
      double want = j < n ? 0 : -7; /* what lies between two rows stays as it is */
      for (int l = 0; l < k && j < n; l++)
        want += (double)a[i * pitch + l] * b[l * pitch + j];
      worst = fmax(worst, fabs(c[i * pitch + j] - want) / (1 + fabs(want)));
    }
  char what[64];
  snprintf(what, sizeof what, "matmul %dx%dx%d", m, n, k);
  tell(what, matmul_choose(&args), status, worst);
}

/* The same in whole numbers, where matrix engines are: no error is allowed. */
static void check_matmul_int8(int m, int n, int k) {
  static int8_t a[MOST * MOST], b[MOST * MOST];
  static int32_t c[MOST * MOST];
  for (int i = 0; i < MOST * MOST; i++)
    a[i] = (int8_t)(i * 37 % 255 - 127), b[i] = (int8_t)(i * 91 % 256 - 128);
  struct matmul_int8_args args = {
      .a_ptr = a, .b_ptr = b, .c_ptr = c, .m = m, .n = n, .k = k,
      .stride_am = k, .stride_ak = 1, .stride_bk = n, .stride_bn = 1, .stride_cm = n, .stride_cn = 1};
  int blocks = (m + BLOCK - 1) / BLOCK * ((n + BLOCK - 1) / BLOCK);
  int status = matmul_int8_launch(&args, blocks, 1, 1, 2);
  double worst = 0;
  for (int i = 0; i < m; i++)
    for (int j = 0; j < n; j++) {
      int32_t want = 0;
      for (int l = 0; l < k; l++)
        want += a[i * k + l] * b[l * n + j];
      worst = fmax(worst, 1e9 * abs(c[i * n + j] - want));
    }
  char what[64];
  snprintf(what, sizeof what, "matmul_int8 %dx%dx%d", m, n, k);
  tell(what, matmul_int8_choose(&args), status, worst);
}

/* What no specialisation takes is refused, and says why. */
static void check_refusal(void) {
  struct softmax_args args = {.n = 5000};
  int status = softmax_launch(&args, 1, 1, 1, 0);
  failures += status != VERTEBRA_NO_SPECIALISATION;
  printf("%-24s status %d: %s\n", "softmax 1x5000", status, kernels_message());
}

int main(void) {
  check_softmax(5, 100);
  check_softmax(7, 1000);
  check_matmul(64, 48, 96, 112);
  check_matmul(33, 65, 77, 101);
  check_matmul_int8(50, 70, 130);
  check_refusal();
  return failures ? 1 : 0;
}
