"""How trackers are prompted and what is measured: semi-supervised, interactive, and clicks on images."""
