package setup

import (
	"errors"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/limits"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/install"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/secret"
)

// Flags are the flags as given.
type Flags struct {
	config *genericclioptions.ConfigFlags

	Registry       string
	RegistrySecret string
	RegistryCA     string
	NodeAccess     string
	PodSecurity    string
	Rotate         bool
	ImageMirrors   []string
	BuildArgs      []string
	BuildCA        string
	BuildEnv       []string
	Limits         limits.Flags
	StorageSize    string
	StorageClass   string
	Ephemeral      bool
	TektonManifest string
	Resolvers      []string
	ClusterRanges  []string
	Egress         []string
	DryRun         option.DryRun
	Output         string
	Timeout        time.Duration
}

// ToOptions checks the flags.
func (f *Flags) ToOptions(cmd *cobra.Command, streams genericiooptions.IOStreams) (*Options, error) {
	o := &Options{Streams: streams, Timeout: f.Timeout, DryRun: f.DryRun.Strategy()}
	if err := f.output(o); err != nil {
		return nil, err
	}
	if f.Timeout <= 0 {
		return nil, option.Usagef("--timeout %s is not positive", f.Timeout)
	}
	changed := cmd.Flags().Changed
	for _, read := range []func(*install.Request, func(string) bool) error{f.registry, f.storage, f.builds, f.Limits.Read, f.network, f.resolvers} {
		if err := read(&o.Request, changed); err != nil {
			return nil, err
		}
	}
	o.Request.PodSecurity = f.PodSecurity
	var err error
	if f.TektonManifest != "" {
		if o.Request.TektonManifest, err = manifests.ReadTekton(cmd.Context(), f.TektonManifest); err != nil {
			return nil, err
		}
	}
	if o.Clients, err = kube.New(f.config); err != nil {
		return nil, err
	}
	o.Request.Namespace = o.Clients.Namespace
	return o, nil
}

// output reads --output.
func (f *Flags) output(o *Options) error {
	format := f.Output
	switch {
	case o.DryRun == option.DryRunNone && format != "":
		return option.Usagef("--output needs --dry-run")
	case o.DryRun == option.DryRunClient && format == "":
		format = "yaml"
	case format == "":
		return nil
	}
	printer, err := genericclioptions.NewJSONYamlPrintFlags().ToPrinter(format)
	if err != nil {
		return option.OneOf("output", f.Output, "yaml", "json")
	}
	o.Printer = printer
	return nil
}

// registry reads the flags about the registry and the nodes' access to it.
func (f *Flags) registry(request *install.Request, changed func(flag string) bool) error {
	request.RotateCredentials, request.RegistrySecret, request.NodeAccess = f.Rotate, f.RegistrySecret, manifests.NodeAccess(f.NodeAccess)
	if changed("node-access") {
		if err := option.OneOf("node-access", f.NodeAccess, modes()...); err != nil {
			return err
		}
	}
	if changed("registry") {
		request.Registry = &install.Address{}
		if f.Registry != "" {
			address, err := install.ParseAddress(f.Registry)
			if err != nil {
				return option.Usagef("--registry %w", err)
			}
			request.Registry = &address
		}
	}
	own := request.Registry != nil && request.Registry.Host == ""
	external := request.Registry != nil && request.Registry.Host != ""
	switch {
	case own && (f.RegistrySecret != "" || f.RegistryCA != ""):
		return option.Usagef("--registry '' goes back to the registry in the cluster, which needs neither --registry-secret nor --registry-ca")
	case external && (changed("registry-storage-size") || changed("registry-storage-class") || f.Ephemeral):
		return option.Usagef("--registry uses an existing registry: leave out --registry-storage-size, --registry-storage-class and --registry-ephemeral")
	case external && f.Rotate:
		return option.Usagef("--rotate-credentials is for the registry in the cluster: change the password at your registry, and name the Secret with the new one by --registry-secret")
	}
	if !changed("registry-ca") {
		return nil
	}
	request.RegistryCA = []byte{}
	return readCertificates("registry-ca", f.RegistryCA, &request.RegistryCA, install.ParseRegistryCA)
}

// storage reads the flags about the registry's volume.
func (f *Flags) storage(request *install.Request, changed func(flag string) bool) error {
	if changed("registry-storage-size") {
		if quantity, err := resource.ParseQuantity(f.StorageSize); err != nil || quantity.Sign() <= 0 {
			return option.Usagef("--registry-storage-size %q is not a size such as 20Gi", f.StorageSize)
		}
		request.StorageSize = &f.StorageSize
	}
	if changed("registry-storage-class") {
		request.StorageClass = &f.StorageClass
	}
	if changed("registry-ephemeral") {
		request.Ephemeral = &f.Ephemeral
	}
	if f.Ephemeral && (changed("registry-storage-size") || changed("registry-storage-class")) {
		return option.Usagef("--registry-ephemeral has no volume: leave out --registry-storage-size and --registry-storage-class")
	}
	return nil
}

// resolvers reads the flag about Tekton's resolvers.
func (f *Flags) resolvers(request *install.Request, changed func(flag string) bool) error {
	if !changed("tekton-resolvers") {
		return nil
	}
	request.Resolvers = []manifests.Resolver{}
	for _, name := range notEmpty(f.Resolvers) {
		if err := option.OneOf("tekton-resolvers", name, resolvers()...); err != nil {
			return err
		}
		request.Resolvers = append(request.Resolvers, manifests.Resolver(name))
	}
	slices.Sort(request.Resolvers)
	request.Resolvers = slices.Compact(request.Resolvers)
	return nil
}

// network reads the flags about what builds may reach.
func (f *Flags) network(request *install.Request, changed func(flag string) bool) (err error) {
	if changed("cluster-cidr") {
		if request.ClusterRanges, err = manifests.ParseRanges(notEmpty(f.ClusterRanges)); err != nil {
			return option.Usagef("--cluster-cidr: %w", err)
		}
	}
	if changed("build-egress") {
		if request.Egress, err = manifests.ParseEgress(notEmpty(f.Egress)); err != nil {
			return option.Usagef("--build-egress: %w", err)
		}
	}
	return nil
}

// builds reads the flags about what builds get.
func (f *Flags) builds(request *install.Request, changed func(flag string) bool) error {
	if changed("image-mirror") {
		request.ImageMirrors = []manifests.Mirror{}
		for _, text := range notEmpty(f.ImageMirrors) {
			mirror, err := manifests.ParseMirror(text)
			if err != nil {
				return option.Usage(err)
			}
			request.ImageMirrors = append(request.ImageMirrors, mirror)
		}
	}
	if changed("build-arg") {
		request.BuildArgs = notEmpty(f.BuildArgs)
		if err := checkBuildArgs(request.BuildArgs); err != nil {
			return err
		}
	}
	if changed("build-env") {
		var err error
		if request.BuildVariables, err = manifests.ParseBuildVariables(notEmpty(f.BuildEnv)); err != nil {
			return option.Usagef("--build-env: %w", err)
		}
	}
	if !changed("build-ca") {
		return nil
	}
	request.BuildCA = []byte{}
	return readCertificates("build-ca", f.BuildCA, &request.BuildCA, manifests.ParseBuildCA)
}

// checkBuildArgs checks --build-arg.
func checkBuildArgs(args []string) error {
	err := manifests.CheckBuildArgs(args)
	var found *secret.ArgumentError
	if errors.As(err, &found) {
		return option.Usagef("--build-arg: %w, and every user of the cluster can read those of setup; use --build-env %s=…, which is kept in a Secret", err, found.Name)
	}
	if err != nil {
		return option.Usagef("--build-arg: %w", err)
	}
	return nil
}

// readCertificates reads the file that a flag names into target. Without a file it
// leaves target alone.
func readCertificates(flag, file string, target *[]byte, parse func([]byte, time.Time) ([]byte, error)) error {
	if file == "" {
		return nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return option.Usagef("--%s: %w", flag, err)
	}
	if *target, err = parse(data, time.Now()); err != nil {
		return option.Usagef("--%s %s: %w", flag, file, err)
	}
	return nil
}

func notEmpty(values []string) []string {
	return slices.DeleteFunc(slices.Clone(values), func(value string) bool { return value == "" })
}
