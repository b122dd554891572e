"""The lab: a pretrained network in the page that learns from the reader's photos."""
