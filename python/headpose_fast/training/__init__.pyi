from headpose_fast.training.batching import Batches as Batches
from headpose_fast.training.batching import batches as batches
from headpose_fast.training.dataset import Samples as Samples
from headpose_fast.training.draws import Draws as Draws
from headpose_fast.training.draws import draw as draw
from headpose_fast.training.draws import draws_of_plan as draws_of_plan
from headpose_fast.training.labels import FORMS as FORMS
from headpose_fast.training.labels import POSES as POSES
from headpose_fast.training.labels import decode as decode
from headpose_fast.training.labels import encode as encode
from headpose_fast.training.pixels import PixelStore as PixelStore
from headpose_fast.training.protocols import PROTOCOLS as PROTOCOLS
from headpose_fast.training.protocols import Fold as Fold
from headpose_fast.training.protocols import folds as folds
from headpose_fast.training.recipes import DEEPLENS as DEEPLENS
from headpose_fast.training.recipes import FACE as FACE
from headpose_fast.training.recipes import HOPENET as HOPENET
from headpose_fast.training.recipes import Recipe as Recipe
from headpose_fast.training.rendering import Form as Form
from headpose_fast.training.rendering import render_batch as render_batch
from headpose_fast.training.sampling import EpochSampler as EpochSampler
from headpose_fast.training.scores import Score as Score
from headpose_fast.training.scores import score as score
from headpose_fast.training.torch import HeadPose as HeadPose
from headpose_fast.training.torch import collate as collate

__all__: list[str]
