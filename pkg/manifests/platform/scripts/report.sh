#!/bin/sh
# Prints the JUnit results of a test and ends as the test ended.
#
# Reads:
#   JUNIT          the file that pytest writes its results to; it may be absent. A link is
#                  not followed: it would lead to a file of this container
#   EXIT_CODE      a file with the exit code of the test
#   TESTED_RESULT  the file for the result
# Writes "true" to the result if the test passed.
set -eu

# The test may have written the result itself, and Tekton also reads that of a failed Task.
rm -f "$TESTED_RESULT"
if [ -r "$JUNIT" ] && [ ! -L "$JUNIT" ]; then
  head -c 4194304 "$JUNIT"
  echo
fi
code=$(cat "$EXIT_CODE")
case $code in
  "" | *[!0-9]*) code=1 ;; # a signal ended it
esac
[ "$code" != 0 ] || printf true >"$TESTED_RESULT"
exit "$code"
