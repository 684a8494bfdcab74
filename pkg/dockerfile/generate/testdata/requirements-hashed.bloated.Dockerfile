# shop, as it is often done. It works; the comments say what it costs, and what the variant
# slim does in its place.

# The full image: compilers, headers, git and ImageMagick, which no service runs. Every node
# pulls it, every scanner reports it, and whoever breaks in finds a workshop. Slim has them
# in a stage that is thrown away, when they are needed at all.
FROM python:3.13 AS run
ARG PIP_INDEX_URL
ARG PIP_TRUSTED_HOST
WORKDIR /app
# Everything, and first: a change of any file, be it a comment, throws away the cached
# layers that follow, so that each build installs each dependency again. Slim copies the
# lock alone before it installs.
COPY . .
# pip keeps what it downloads in a cache that is now part of the image; the tools of the
# tests are in it, too; bytecode is compiled anew in every container, where the service may
# write it.
RUN pip install -r requirements.txt
RUN pip install -r requirements-dev.txt
RUN pip install uvicorn==0.54.0
ENV PYTHONPATH=/app/src
EXPOSE 8000
# No USER: the service is root, who can change its code and tools, and has more of the
# kernel to attack.
#
# Shell form: a shell starts the server. One that stays process 1 passes no SIGTERM on, so
# that every stop waits for the grace period and then cuts requests off.
CMD uvicorn shop.main:app --host 0.0.0.0 --port 8000 --timeout-graceful-shutdown 20

FROM run AS test
CMD ["python", "-m", "pytest"]

FROM run
