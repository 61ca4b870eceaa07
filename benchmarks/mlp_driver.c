/* Calls the emitted functions many times from C, as a program in C would, so that no foreign-function call is timed. */

#include <string.h>

#include "mlp.h"

size_t network_bytes(void)
{
    return sizeof(struct mlp_mlp);
}

size_t workspace_bytes(void)
{
    return MLP_FORWARD_WORKSPACE_BYTES > MLP_TRAIN_STEP_WORKSPACE_BYTES ? MLP_FORWARD_WORKSPACE_BYTES
                                                                         : MLP_TRAIN_STEP_WORKSPACE_BYTES;
}

int forward_many(long calls, const struct mlp_mlp *net, const float *x, float *scores, void *workspace)
{
    int bad = 0;
    for (long i = 0; i < calls; i++)
        bad |= (int)mlp_forward(net, x, scores, workspace);
    return bad;
}

int train_many(long calls, struct mlp_mlp *net, const float *x, const int32_t *y, float *loss, void *workspace)
{
    int bad = 0;
    for (long i = 0; i < calls; i++)
        bad |= (int)mlp_train_step(net, x, y, loss, workspace);
    return bad;
}
