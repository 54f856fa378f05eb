"""Train a small network for one epoch on a bundle, as the old training job does.

    python2.7 old_train.py FILE

Prints as JSON mean squared errors of tilt and pan, in units of 90 degrees: `train` of the tenths of
the epoch, `test` of the test samples after it, `constant` of those if always the mean is told.
Runs under Python 2.7 with MXNet 1.5.1.
"""

import json
import pickle
import sys

import mxnet as mx
import numpy as np

BATCH = 31

mx.random.seed(0)
np.random.seed(0)

trn_im, test_im, trn_output, test_output = pickle.load(open(sys.argv[1], "rb"))
constant = np.square(test_output - trn_output.mean(0)).mean()

# As the old job does: every head looks to the other side, too.
trn_im = np.concatenate((trn_im, trn_im[:, :, :, ::-1]))
trn_output = np.concatenate((trn_output, trn_output * np.float32([1, -1])))

train = mx.io.NDArrayIter(trn_im, trn_output, BATCH, shuffle=True, label_name="pose_label")
test = mx.io.NDArrayIter(test_im, test_output, BATCH, label_name="pose_label")

net = mx.sym.Variable("data")
for filters in (8, 16, 32):
    net = mx.sym.Convolution(net, kernel=(3, 3), stride=(2, 2), num_filter=filters)
    net = mx.sym.Activation(net, act_type="relu")
net = mx.sym.FullyConnected(net, num_hidden=2)
net = mx.sym.LinearRegressionOutput(net, name="pose")

losses = []


def note(batch):
    """Note the error of one batch."""
    losses.append(batch.eval_metric.get()[1])
    batch.eval_metric.reset()


module = mx.mod.Module(net, label_names=["pose_label"])
module.fit(
    train,
    eval_metric="mse",
    optimizer="adam",
    optimizer_params={"learning_rate": 0.001},
    initializer=mx.init.Xavier(),
    batch_end_callback=note,
    num_epoch=1,
)

print(
    json.dumps(
        {
            "versions": "Python %d.%d, NumPy %s, MXNet %s"
            % (sys.version_info[0], sys.version_info[1], np.__version__, mx.__version__),
            "samples": [len(trn_im), len(test_im)],
            "train": [float(part.mean()) for part in np.array_split(losses, 10)],
            "test": dict(module.score(test, "mse"))["mse"],
            "constant": float(constant),
        }
    )
)
