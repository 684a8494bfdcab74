# shop, as it is often done. It works; the comments say what it costs, and what the variant
# slim does instead.
#
# The build context is a directory above the service: paths of COPY start there, with
# services/shop for the service itself.

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
WORKDIR /app/services/shop
# pip keeps its downloads in a cache that is now part of the image; the tools of the tests
# are in it, too; every container compiles the bytecode again, if the service can write it.
RUN sed -E -i \
      -e 's#file:///?[$][{]PROJECT_ROOT[}]/#file:///app/services/shop/#' \
      -e 's#^(-e|--editable)[ =]+file:#file:#' \
      -e 's#^(-e|--editable)[ =]+([^:]+)$#./\2#' \
      -e 's# *--hash=[^ ]+##g' \
      requirements.txt ../../common.txt
RUN pip install -r requirements.txt
RUN pip install -r requirements-dev.txt
ENV PYTHONPATH=/app/services/shop/src
EXPOSE 8000
# No USER: the service runs as root, which can change its code and tools, and has more of
# the kernel to attack.
#
# Shell form: a shell starts the server. A shell that stays process 1 does not pass SIGTERM
# on, so every stop waits for the grace period and then cuts requests off.
CMD uvicorn shop.main:app --host 0.0.0.0 --port 8000 --timeout-graceful-shutdown 20

FROM run AS test
ARG PIP_INDEX_URL
ARG PIP_TRUSTED_HOST
RUN pip install pytest==9.2.0
CMD ["python", "-m", "pytest"]

FROM run
