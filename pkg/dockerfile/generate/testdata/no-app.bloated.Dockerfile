# shop, as it is often done. It works; the comments say what it costs, and what the variant
# slim does instead.

# The full image has compilers, headers, git and ImageMagick, which no service runs. Every
# node pulls them, every scanner reports them, and an intruder can use them. Slim has them
# in a stage that is thrown away, if they are needed at all.
FROM python:3.13 AS run
ARG PIP_INDEX_URL
ARG PIP_TRUSTED_HOST
WORKDIR /app
# Everything is copied first: a change of any file, even of a comment, discards the cached
# layers that follow, and each build installs each dependency again. Slim copies only the
# lock before it installs.
COPY . .
# pip keeps its downloads in a cache that is now part of the image; the tools of the tests
# are in it, too; every container compiles the bytecode again, if the service can write it.
#
# A tool that only the build needs, in the image for good.
RUN pip install uv==0.13.9
RUN uv export --quiet --frozen --offline --no-python-downloads --no-default-groups --no-emit-project --group dev \
      --format requirements.txt --output-file /tmp/resolved.txt
RUN pip install -r /tmp/resolved.txt
EXPOSE 8000
# No USER: the service runs as root, which can change its code and tools, and has more of
# the kernel to attack.
CMD ["sh", "-c", "exec python bot.py \"$ROOM\""]

FROM run AS test
CMD ["python", "-m", "pytest"]

FROM run
