/* Trains the handwritten digits in C: initialises, trains, evaluates, saves, reloads. Nothing but the vendored package.

   usage: train [seed [data/digits.bin [weights.safetensors]]] */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "digits.h"

enum { TRAIN = 1437, TEST = 360, PIXELS = 64, CLASSES = 10, BATCH = 32, EPOCHS = 30 };

static float images[TRAIN + TEST][PIXELS];
static int32_t labels[TRAIN + TEST];

static void must(enum digits_status status, const char *what)
{
    if (status != DIGITS_OK) {
        fprintf(stderr, "%s: %s\n", what, digits_status_string(status));
        exit(1);
    }
}

static void load_images(const char *path)
{
    unsigned char row[PIXELS + 1];
    FILE *file = fopen(path, "rb");
    for (int i = 0; i < TRAIN + TEST; i++) {
        if (file == NULL || fread(row, sizeof row, 1, file) != 1) {
            fprintf(stderr, "cannot read %s\n", path);
            exit(1);
        }
        for (int k = 0; k < PIXELS; k++)
            images[i][k] = (float)row[k] / 16.0f;
        labels[i] = row[PIXELS];
    }
    fclose(file);
}

/* The share of the test images that the network gets right. */
static double accuracy(const struct digits_digits *net, void *workspace)
{
    static float probabilities[TEST][CLASSES];
    int right = 0;
    must(digits_predict(TEST, net, &images[TRAIN][0], &probabilities[0][0], workspace), "predict");
    for (int i = 0; i < TEST; i++) {
        int best = 0;
        for (int c = 1; c < CLASSES; c++)
            if (probabilities[i][c] > probabilities[i][best])
                best = c;
        right += best == labels[TRAIN + i];
    }
    return (double)right / TEST;
}

/* One pass over the training images in a new order; gives the mean loss. */
static double epoch(struct digits_digits *net, struct digits_adam *adam, struct digits_rng *rng, uint32_t *random,
                    void *workspace)
{
    static int order[TRAIN];
    static float x[BATCH][PIXELS];
    static int32_t y[BATCH];
    double sum = 0;
    for (int i = 0; i < TRAIN; i++) { /* Fisher-Yates, inside out, with xorshift32 */
        *random ^= *random << 13;
        *random ^= *random >> 17;
        *random ^= *random << 5;
        const int k = (int)(*random % (uint32_t)(i + 1));
        order[i] = order[k];
        order[k] = i;
    }
    for (int start = 0; start + BATCH <= TRAIN; start += BATCH) {
        float loss;
        for (int i = 0; i < BATCH; i++) {
            memcpy(x[i], images[order[start + i]], sizeof x[i]);
            y[i] = labels[order[start + i]];
        }
        must(digits_train_step(BATCH, net, adam, rng, &x[0][0], y, &loss, workspace), "train_step");
        sum += (double)loss;
    }
    return sum / (TRAIN / BATCH);
}

int main(int argc, char **argv)
{
    const unsigned seed = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
    const char *weights = argc > 3 ? argv[3] : "digits.safetensors";
    static unsigned char bytes[DIGITS_DIGITS_FILE_BYTES];
    static struct digits_digits net, again;
    static struct digits_adam adam;
    struct digits_rng rng;
    uint32_t random = 2463534242u + seed;
    size_t size;

    load_images(argc > 2 ? argv[2] : "data/digits.bin");
    const size_t training = digits_train_step_workspace(BATCH), testing = digits_predict_workspace(TEST);
    void *workspace = malloc(training > testing ? training : testing);

    must(digits_rng_init(&rng, seed), "rng");
    must(digits_adam_init(&adam), "adam");
    must(digits_digits_init(&rng, &net, workspace), "init");
    for (int e = 1; e <= EPOCHS; e++) {
        const double loss = epoch(&net, &adam, &rng, &random, workspace);
        printf("epoch %2d  loss %.4f  accuracy %.2f %%\n", e, loss, 100 * accuracy(&net, workspace));
    }

    must(digits_digits_write(&net, bytes, sizeof bytes, &size), "write");
    FILE *file = fopen(weights, "wb");
    if (file == NULL || fwrite(bytes, 1, size, file) != size || fclose(file) != 0) {
        fprintf(stderr, "cannot write %s\n", weights);
        return 1;
    }
    file = fopen(weights, "rb");
    size = file == NULL ? 0 : fread(bytes, 1, sizeof bytes, file);
    must(digits_digits_read(&again, bytes, size), "read");
    printf("saved to %s, reloaded: accuracy %.2f %%\n", weights, 100 * accuracy(&again, workspace));
    fclose(file);
    free(workspace);
    return 0;
}
