package kaniko

import (
	"github.com/moby/buildkit/frontend/dockerfile/instructions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine"
)

// one returns the states of a feature that is the same in every version.
func one(support engine.Support, reason, remedy string, check func(*pass)) []state {
	return []state{{support: support, reason: reason, remedy: remedy, check: check}}
}

// as returns the states of a feature that has BuildKit's result without doing anything.
func as(reason string) []state { return one(engine.Supported, reason, "", nil) }

// switched returns the states of a feature that the build step's environment makes right, see
// Switches.
func switched(reason string) []state { return one(engine.Switched, reason, "", nil) }

// Switches returns the environment of the build step that makes Kaniko follow the Dockerfile
// reference. The Task has the same.
func Switches() map[string]string {
	return map[string]string{
		"FF_KANIKO_RUN_MOUNT_BIND":              "1",
		"FF_KANIKO_COPY_AS_ROOT":                "1",
		"FF_KANIKO_COPY_CHMOD_ON_IMPLICIT_DIRS": "1",
		"FF_KANIKO_BUILDKIT_ARG_ENV_PRECEDENCE": "1",
		"FF_KANIKO_VOLUME_SKIP_MKDIR":           "1",
		"FF_KANIKO_PRESERVE_HARDLINKS":          "1",
		"FF_KANIKO_NO_PROPAGATE_ANNOTATIONS":    "1",
		// VOLUME is an instruction without files that has a directory in its layer. The
		// image is right, and the assertion wrong.
		"KANIKO_IGNORE_ASSERTIONS": "executor.build.without-fs",
	}
}

// table returns what Kaniko does with each feature of the Dockerfile reference. Rows with a
// check run in this order.
func table() []row {
	var rows []row
	for _, part := range [][]row{fileRows(), fromRows(), argRows(), heredocRows(), runRows(), mountRows(), copyRows(), addRows(), configRows(), onbuildRows(), pathRows(), lastRows()} {
		rows = append(rows, part...)
	}
	return rows
}

func fileRows() []row {
	return []row{
		{"syntax-directive", "Parser directives", "# syntax= with another frontend than docker/dockerfile", one(engine.Refused,
			"the engine reads Dockerfiles only and ignores the directive", "write a Dockerfile, and remove the directive", frontends)},
		{"syntax-dockerfile", "Parser directives", "# syntax=docker/dockerfile, with any version", as("the engine ignores the directive; its own version of the language counts")},
		{"escape-directive", "Parser directives", "# escape=` with a backslash or a backtick in an instruction", one(engine.Refused,
			"the engine replaces variables with the backslash as the escape character", "remove the directive, and escape with a backslash", frontends)},
		{"check-directive", "Parser directives", "# check=", as("kubectl pyflow lint runs BuildKit's checks")},
		{"context-modes", "Build context", "modes of files and directories", as("a mode that the umask of the machine gives travels as 0644 or 0755, and the build says so if it is another one")},
		{"context-modes-special", "Build context", "set-group-ID and sticky bits of directories", as("the build says where it leaves them out")},
		{"ignore-file", "Build context", ".dockerignore and <Dockerfile>.dockerignore", as("the ignored files do not travel")},
	}
}

func fromRows() []row {
	return []row{
		{"from-image", "FROM", "an image by tag or digest, scratch, an earlier stage", as("")},
		{"from-platform", "FROM", "--platform with a platform that no node has, with two of them, or with another variable than $BUILDPLATFORM and $TARGETPLATFORM", one(engine.Refused,
			"the engine ignores the flag, and builds every stage for the platform of the node", "remove --platform, or add a node of that platform", platforms)},
		{"from-platform-node", "FROM", "--platform=linux/amd64, linux/arm64 and their like", as("the build runs on a node of that platform")},
		{"from-platform-build", "FROM", "--platform=$BUILDPLATFORM or $TARGETPLATFORM", as("every stage is built for the platform of the node")},
		{"from-platform-arg", "FROM", "TARGETARCH and its like in the name of the image", one(engine.Refused,
			"the engine knows them in stages only", "give the value, such as --build-arg TARGETARCH=amd64, and declare it with ARG before FROM", platformBases)},
	}
}

func argRows() []row {
	return []row{
		{"arg-env", "ARG, ENV", "ARG and ENV of the same name", switched("the later one wins (FF_KANIKO_BUILDKIT_ARG_ENV_PRECEDENCE)")},
		{"arg-global", "ARG", "before FROM, repeated in stages, with and without a value", as("")},
		{"arg-platform", "ARG", "TARGETARCH, TARGETPLATFORM, BUILDPLATFORM and their like in a stage", as("")},
		{"arg-proxy", "ARG", "HTTP_PROXY and its like, without ARG", as("they are not in the image")},
		{"variables", "ARG, ENV", "${x:-y}, ${x:+y}, ${x#p}, ${x/p/r}, escapes, ENV a=1 b=$a, ENV without =", as("")},
	}
}

func heredocRows() []row {
	return []row{
		{"run-heredoc-input", "RUN", "heredocs that a command reads: RUN python3 <<EOF, RUN cat <<A <<B", one(engine.Rewritten,
			"the engine's cache does not see that the text changes; the instruction gets its hash", "", inputs)},
		{"run-heredoc", "RUN", "a heredoc that is the script: RUN <<EOF, <<-EOF, <<'EOF'", one(engine.Rewritten,
			"the engine replaces the variables before the script runs, and skips the script if the name is quoted; it is rewritten so that the shell of the stage runs it as it is", "", scripts)},
		{"run-heredoc-program", "RUN", "a heredoc whose first line starts with #!", one(engine.Rewritten,
			"the script runs from a temporary file instead of /dev/pipes, by its program", "", nil)},
		{"copy-heredoc", "COPY, ADD", "heredocs: COPY <<EOF /path, several, quoted or not", one(engine.Rewritten,
			"the engine leaves variables in it as they are, and its cache does not see that the text changes; variables are replaced, and the instruction gets the hash", "give the variable a value with ARG or ENV, quote the name of the heredoc, or copy a file", documents)},
	}
}

func runRows() []row {
	return []row{
		{"run-forms", "RUN", "shell form with any SHELL, exec form", as("")},
		{"run-network", "RUN", "--network=none or host", one(engine.Refused,
			"every command has the network of the pod", "remove the flag", flagRow("network", func(_ site, value string) string {
				if value == "default" || value == "" {
					return ""
				}
				return "--network=" + value + " is ignored: the command has the network of the pod"
			}))},
		{"run-security", "RUN", "--security=insecure", one(engine.Refused,
			"no command has more permissions than the pod", "remove the flag", flagRow("security", func(_ site, value string) string {
				if value == "sandbox" {
					return ""
				}
				return "--security=" + value + " is ignored: no command has more permissions than the pod"
			}))},
		{"run-device", "RUN", "--device", one(engine.Refused,
			"the pod has no devices", "remove the flag", flagRow("device", func(_ site, value string) string {
				return "the device " + value + " is not in the pod"
			}))},
		{"run-setcap", "RUN", "setcap, touch with a date", one(engine.Switched,
			"the build compares the content and the capabilities of files as well (--snapshot-mode=full)", "", capabilities)},
		{"run-same-date", "RUN", "a program, other than touch, that gives a changed file of the same size the date that it had", one(engine.Differs,
			"the engine compares size, date, mode and owner: the image has the old content", "let the date change: touch FILE", nil)},
		{"run-user", "RUN", "behind USER name, or USER uid", one(engine.Differs,
			"a number that /etc/passwd does not have gets the same number as its group, and group 0 with Docker", "run it before USER, and give the files to the user with chown", numberedUsers)},
		{"run-user-group", "RUN", "behind USER user:group with another group than the user's", one(engine.Refused,
			"the engine ignores the group", "run it before USER, as root, and give the files to the user with chown", userGroups)},
	}
}

func mountRows() []row {
	return []row{
		{"run-mount-bind", "RUN", "--mount=type=bind from the build context", one(engine.Switched,
			"files are copied for the command (FF_KANIKO_RUN_MOUNT_BIND); a relative target is made absolute", "write the target with a / in front, or set WORKDIR before", mountRow(instructions.MountTypeBind, bindMount))},
		{"run-mount-secret", "RUN", "--mount=type=secret with id, source, target, env, required, mode, uid, gid", one(engine.Rewritten,
			"a source is written as the id, and a relative target is made absolute", "", mountRow(instructions.MountTypeSecret, secretMount))},
		{"run-mount-bind-writes", "RUN", "--mount=type=bind that a command writes to", one(engine.Differs,
			"the command can write to its copy without rw; the files of the build context stay as they are", "add rw to the mount if the command needs to write", writtenMounts)},
		{"run-mount-cache", "RUN", "--mount=type=cache", one(engine.Differs,
			"the directory is empty in every build, as each has a new pod; what is written there is not in the image", "use it for portability: it does not make builds in the cluster faster", mountRow(instructions.MountTypeCache, cacheMount))},
		{"run-mount-cache-from", "RUN", "--mount=type=cache with from", one(engine.Refused,
			"the engine ignores from", "use --mount=type=bind, or COPY --from", mountRow(instructions.MountTypeCache, cacheFrom))},
		{"run-mount-tmpfs", "RUN", "--mount=type=tmpfs", one(engine.Rewritten,
			"it is written as a cache mount that nothing else uses, which is as empty; size does not count", "", mountRow(instructions.MountTypeTmpfs, tmpfsMount))},
		{"run-mount-ssh", "RUN", "--mount=type=ssh", one(engine.Refused,
			"builds in the cluster have no SSH agent", "mount a key or a token: --mount=type=secret,id=KEY,target=/root/.ssh/id_ed25519, and build with --build-secret id=KEY,src=FILE", mountRow(instructions.MountTypeSSH, sshMount))},
	}
}

func copyRows() []row {
	return []row{
		{"copy-owner", "COPY, ADD", "behind USER, without --chown", switched("what is copied from the build context belongs to root (FF_KANIKO_COPY_AS_ROOT)")},
		{"copy-chown", "COPY, ADD", "--chown with numbers, or with names of a user and a group", as("")},
		{"copy-chown-user", "COPY, ADD", "--chown with the name of a user alone, whom the Dockerfile makes", one(engine.Rewritten,
			"the user's primary group is written out, as the engine would take the group with the number of the user", "write --chown=USER:GROUP", owners)},
		{"copy-chown-base", "COPY, ADD", "--chown with the name of a user alone, whom the base image has", one(engine.Differs,
			"files get the group with the number of the user, and the user's primary group with Docker", "write --chown=USER:GROUP", baseOwners)},
		{"copy-chmod-several", "COPY, ADD", "--chmod of several files into a new directory", one(engine.Differs,
			"the directory gets 0755, and with Docker the mode of the files", "make it before: RUN mkdir -m MODE PATH", severalModes)},
		{"copy-chmod", "COPY, ADD", "--chmod with a number", switched("(FF_KANIKO_COPY_CHMOD_ON_IMPLICIT_DIRS)")},
		{"copy-chmod-special", "COPY, ADD", "--chmod with set-user-ID, set-group-ID or sticky bits", one(engine.Refused,
			"the engine leaves the bits out", "copy without them, and add: RUN chmod MODE PATH", specialModes)},
		{"copy-chmod-symbolic", "COPY, ADD", "--chmod with letters, such as u=rwX,go=rX", one(engine.Rewritten,
			"it is written as one number, or left out if the files have these modes already", "copy without --chmod, and add: RUN chmod -R MODE PATH", symbolicModes)},
		{"copy-from", "COPY", "--from a stage by name or number, or an image", as("")},
		{"copy-from-special", "COPY", "--from with files of another user than root that have set-user-ID or set-group-ID bits", one(engine.Differs,
			"the engine leaves the bits out", "set them where the files are: RUN chmod u+s PATH", foreignModes)},
		{"copy-link", "COPY, ADD", "--link", as("files are the same")},
		{"copy-symlink", "COPY, ADD", "a source that is a symbolic link of the build context", one(engine.Rewritten,
			"the engine copies the link; the source is written as what it leads to", "name the file or directory that the link leads to", linkedSources)},
		{"copy-symlink-stage", "COPY", "--from with a source that a RUN of the stage makes as a symbolic link", one(engine.Refused,
			"the engine copies the link, and Docker what it leads to", "name the file that the link leads to", stageLinks)},
		{"copy-symlink-from", "COPY", "--from with another source that is a symbolic link, such as libx.so.1 or /usr/local/bin/npm", one(engine.Differs,
			"the engine copies the link, and Docker what it leads to", "name the file that the link leads to", usualLinks)},
		{"copy-from-owner", "COPY", "--from with a directory of another owner than root, without --chown", one(engine.Differs,
			"the destination gets that owner, and with Docker it is root's or keeps its own; what is below it is the same", "write --chown=USER:GROUP", foreignOwners)},
		{"copy-exclude", "COPY, ADD", "--exclude, of files that no other instruction reads", one(engine.Rewritten,
			"they are left out of what the engine sees of the build context, as it ignores the flag", "name the files in .dockerignore, or copy what is needed only", nil)},
		{"copy-exclude-shared", "COPY, ADD", "--exclude with --from, and of files that another instruction reads", one(engine.Refused,
			"the engine ignores the flag, and copies everything", "name the files in .dockerignore, or copy what is needed only", exclusions)},
		{"copy-parents", "COPY", "--parents of the build context", one(engine.Rewritten,
			"it is written as a COPY for each directory, up to 16", "write one COPY for each directory: COPY a/b/ /app/a/b/", nil)},
		{"copy-parents-from", "COPY", "--parents with --from, --chmod, or more directories", one(engine.Refused,
			"the engine ignores the flag, and copies all files into one directory", "write one COPY for each directory: COPY a/b/ /app/a/b/", parentDirectories)},
		{"copy-directory-owner", "COPY, ADD", "a directory behind USER, without --chown, into a directory that exists", one(engine.Differs,
			"the directory itself gets the owner root, and keeps its owner with Docker", "write --chown=USER:GROUP if the user writes into it", directoryOwners)},
		{"copy-globs", "COPY, ADD", "wildcards, character classes, directories, trailing slashes", as("")},
	}
}

func addRows() []row {
	return []row{
		{"add-git", "ADD", "a git repository", one(engine.Refused,
			"the engine downloads the address as a file", "clone it in a RUN, or build the repository with --git", gitSources)},
		{"add-checksum", "ADD", "--checksum", one(engine.Refused,
			"the engine does not compare", "download and compare in a RUN: curl -fsSLo FILE URL && echo 'SHA256  FILE' | sha256sum -c", flagRow("checksum", func(site, string) string {
				return "--checksum is ignored: nothing compares the file"
			}))},
		{"add-keep-git-dir", "ADD", "--keep-git-dir", one(engine.Refused,
			"the engine does not clone repositories", "clone it in a RUN", flagRow("keep-git-dir", func(site, string) string {
				return "--keep-git-dir is ignored"
			}))},
		{"add-unpack", "ADD", "--unpack", one(engine.Rewritten,
			"--unpack=false of a local file is written as COPY", "unpack it in a RUN", packedFlag)},
		{"add-url", "ADD", "a file of the web", one(engine.Differs,
			"its layer comes from the cache for 14 days even if the file changes; it belongs to root", "", urlOwners)},
		{"add-archive", "ADD", "an archive of the build context: tar, tar.gz, tar.bz2", as("")},
		{"add-archive-chown", "ADD", "--chown of an archive", one(engine.Refused,
			"the engine keeps the owners of the archive", "leave out --chown, and add: RUN chown -R OWNER PATH", archiveOwners)},
		{"add-archive-xz", "ADD", "an archive compressed with xz or zstd", one(engine.Refused,
			"the engine cannot unpack it", "compress it with gzip, or copy and unpack it in a RUN", archives)},
		{"add-compressed", "ADD", "a compressed file that is no archive", one(engine.Rewritten,
			"it is written as COPY, as the engine would unpack it", "use COPY", nil)},
	}
}

func configRows() []row {
	return []row{
		{"workdir", "WORKDIR", "absolute, relative, with variables, behind USER", one(engine.Rewritten,
			"parents that do not exist are created one by one, so that they belong to the user and the user's primary group, and the path is cleaned", "", workdirs)},
		{"workdir-group", "WORKDIR", "behind USER name, whom the base image has with a group of another number", one(engine.Differs,
			"the directories get the group with the number of the user", "make them before USER: RUN mkdir -p PATH && chown NAME:GROUP PATH", ungroupedDirs)},
		{"user", "USER", "name, number, user:group", as("")},
		{"user-variable", "USER", "${x:-y} and other variables with a colon", one(engine.Rewritten,
			"the engine takes the colon for that between user and group; the value is written out", "give the variable its default with ARG, and write USER ${x}", userVariables)},
		{"volume", "VOLUME", "files below it, before and after", one(engine.Rewritten,
			"it moves to the end of the image, as the engine leaves out what is written there later (FF_KANIKO_VOLUME_SKIP_MKDIR)", "write VOLUME at the end of the stage", volumes)},
		{"expose", "EXPOSE", "ports, ranges, protocols", one(engine.Rewritten, "ranges are written out", "", ports)},
		{"cmd-entrypoint", "CMD, ENTRYPOINT", "shell and exec form; ENTRYPOINT drops the CMD of the base", one(engine.Rewritten,
			"a CMD of an earlier stage that ENTRYPOINT drops is left out, as the engine would keep it", "", inheritedCommands)},
		{"shell-forms", "CMD, ENTRYPOINT", "shell form behind SHELL", one(engine.Rewritten,
			"the engine puts the text of one into the other; both are written in exec form, as they are in the image", "", shellForms)},
		{"healthcheck", "HEALTHCHECK", "CMD, NONE, --interval, --timeout, --start-period, --retries", as("Kubernetes does not run it")},
		{"healthcheck-start-interval", "HEALTHCHECK", "--start-interval", one(engine.Differs, "it is not in the image; Kubernetes does not run health checks of images", "", healthchecks)},
		{"maintainer", "MAINTAINER", "a name", one(engine.Differs, "it is not in the image", "use LABEL org.opencontainers.image.authors", maintainers)},
		{"label-shell-stopsignal", "LABEL, SHELL, STOPSIGNAL", "all forms", as("")},
	}
}

func onbuildRows() []row {
	return []row{
		{"onbuild", "ONBUILD", "triggers of base images and of stages", as("triggers of base images are not checked before the build")},
	}
}

func pathRows() []row {
	return []row{
		{"pod-paths", "Paths", "WORKDIR, COPY, ADD and RUN below /workspace, /tekton, /kaniko, /proc, /sys, /dev, or /etc/hosts, /etc/hostname, /etc/resolv.conf", one(engine.Refused,
			"mounts of the build pod cover them: nothing that is written there gets into the image", "use another path, such as /app", podPaths)},
		{"base-workdir", "Paths", "relative paths in a stage whose base image has a WORKDIR below these directories", one(engine.Refused,
			"mounts of the build pod cover it; an image that cannot be read from your machine is named", "write WORKDIR with another path before, such as /app", baseWorkdirs)},
		{"visible-paths", "Paths", "RUN that looks at /workspace, /tekton or /kaniko", one(engine.Differs,
			"a command sees what the pod has there; it is not in the image", "name the directories that the command needs", wholeTree)},
		{"free-paths", "Paths", "/context, /build-env, /busybox, /var/run", switched("nothing of the pod covers them (--ignore-var-run=false)")},
	}
}

// lastRows are about the stages as the other rows leave them.
func lastRows() []row {
	return []row{
		{"run-mount-bind-from", "RUN", "--mount=type=bind from a stage or an image", one(engine.Rewritten,
			"it is mounted from where the engine keeps files of other stages and images", "copy what it needs: COPY --from", foreignMounts)},
		{"target-number", "Target", "a stage by its number", one(engine.Rewritten, "the stage gets a name", "", targetNames)},
	}
}
