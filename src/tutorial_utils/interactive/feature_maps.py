"""One channel of MobileNetV2 over four photos: where it answers, drawn as light on each photo."""

from tutorial_utils.interactive.inside_network import InsideNetwork


class FeatureMaps(InsideNetwork):
    """Four photos lit by one channel's feature map, for the stage and channel that are chosen.

    Args:
        stage: the one that is shown first, a key of ``inside_network.STAGES``.
    """

    script = "feature_maps.js"
    label = "Interactive figure: one channel over four photos"
    title = "What does this channel look for?"
    height = 480

    def __init__(self, stage: int = 18) -> None:
        super().__init__(stage)
