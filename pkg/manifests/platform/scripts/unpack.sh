#!/bin/sh
# Unpacks a build context, for a test to run in.
#
# Reads:
#   ARTIFACT      the OCI layout that holds the context
#   CONTEXT_PATH  the context's tar.gz in it, as sha256/<hex>
#   SOURCE        the directory to unpack into; it exists
# Every user may write the files: the test runs as the image's user, which is not known here.
set -eu

tar -xzf "$ARTIFACT/blobs/$CONTEXT_PATH" -C "$SOURCE"
find "$SOURCE" -mindepth 1 ! -type l -exec chmod a+rwX {} +
rm -r "$ARTIFACT"
