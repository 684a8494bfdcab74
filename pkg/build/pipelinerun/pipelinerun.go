// Package pipelinerun describes, creates, finds, cancels and reads the PipelineRuns of
// builds.
package pipelinerun

import (
	"cmp"
	"maps"
	"strconv"
	"strings"

	"github.com/tektoncd/pipeline/pkg/apis/pipeline/pod"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

const (
	// secretMode keeps build secrets from a RUN whose user is not root: such a user
	// reads what the RUN mounts.
	secretMode = int32(0o400)
	// secretsFile is release.SecretsFile.
	secretsFile = "secrets.yaml"
	// dockerfileLimit bounds the Dockerfile's text on a run, in bytes; all annotations
	// of an object together may have 256 KiB.
	dockerfileLimit = 64 << 10
)

// New returns the PipelineRun of spec. It is pure and does not validate: Tekton's
// webhook and the parameters of the Pipeline do. Create adds the parameter sequence,
// which needs the server's time.
func New(spec Spec) *tektonv1.PipelineRun {
	meta := spec.about()
	run := &tektonv1.PipelineRun{
		TypeMeta: metav1.TypeMeta{APIVersion: tektonv1.SchemeGroupVersion.String(), Kind: "PipelineRun"},
		ObjectMeta: metav1.ObjectMeta{
			Name:        meta.Name,
			Namespace:   meta.Namespace,
			Labels:      meta.labels(),
			Annotations: spec.annotations(),
		},
		Spec: tektonv1.PipelineRunSpec{
			PipelineRef: &tektonv1.PipelineRef{ResolverRef: tektonv1.ResolverRef{
				Resolver: "cluster",
				Params: tektonv1.Params{
					param("kind", "pipeline"),
					param("name", spec.pipeline()),
					param("namespace", manifests.SystemNamespace),
				},
			}},
			Params:       spec.params(),
			Workspaces:   spec.workspaces(),
			TaskRunSpecs: spec.taskRunSpecs(),
			// A task without a spec of its own must not run as the namespace's default.
			TaskRunTemplate: tektonv1.PipelineTaskRunTemplate{ServiceAccountName: manifests.BuildServiceAccount},
		},
	}
	if meta.Timeout > 0 {
		run.Spec.Timeouts = &tektonv1.TimeoutFields{Pipeline: &metav1.Duration{Duration: meta.Timeout}}
	}
	return run
}

func (m Meta) labels() map[string]string {
	labels := map[string]string{}
	maps.Copy(labels, m.Labels)
	maps.Copy(labels, ownLabels(m.App))
	if m.BuildKey != "" {
		labels[manifests.LabelBuildKey] = m.BuildKey
	}
	return labels
}

// annotate returns the annotations of the run with own, without empty ones.
func (m Meta) annotate(own map[string]string) map[string]string {
	annotations := map[string]string{}
	maps.Copy(annotations, m.Annotations)
	for key, value := range own {
		if value != "" {
			annotations[key] = value
		}
	}
	if m.Commit != "" {
		annotations[manifests.AnnotationCommit] = m.Commit
	}
	if m.Dirty {
		annotations[manifests.AnnotationDirty] = "true"
	}
	return annotations
}

func ownLabels(app string) map[string]string {
	return map[string]string{
		manifests.LabelManagedBy: manifests.FieldManager,
		manifests.LabelApp:       app,
	}
}

func (d Deploy) pipeline() string { return manifests.DeliverPipelineName }

func (d Deploy) annotations() map[string]string { return d.annotate(nil) }

func (d Deploy) values() map[string][]byte { return nil }

func (d Deploy) params() tektonv1.Params {
	params := tektonv1.Params{
		param(paramName, d.App), param(paramImage, d.Repository), param(paramNodeImage, d.NodeRepository), param(paramDigest, d.Digest),
	}
	return append(params, d.deployParams()...)
}

// deployParams are how a run deploys, as far as it differs from the default.
func (m Meta) deployParams() tektonv1.Params {
	var params tektonv1.Params
	task := manifests.DeployTaskName
	switch {
	case m.User != "":
		task = manifests.DeployAsTask
	case m.UserOfImage:
		task = manifests.DeployUserTask
	}
	if m.Jobs {
		task += manifests.JobsSuffix
	}
	if task != manifests.DeployTaskName {
		params = append(params, param(paramDeployTask, task))
	}
	if m.User != "" {
		params = append(params, param(paramUser, m.User))
	}
	if m.Number > 0 {
		params = append(params, param(paramRelease, strconv.Itoa(m.Number)))
	}
	if m.Record != "" {
		params = append(params, param(paramRecord, m.Record))
	}
	if m.Adopt {
		params = append(params, param(paramAdopt, "true"))
	}
	return params
}

func (d Deploy) workspaces() []tektonv1.WorkspaceBinding {
	binding := d.manifestsWorkspace()
	if d.SecretsFrom == "" {
		return []tektonv1.WorkspaceBinding{binding}
	}
	own := corev1.LocalObjectReference{Name: d.SecretName()}
	earlier := corev1.LocalObjectReference{Name: d.SecretsFrom}
	return []tektonv1.WorkspaceBinding{{Name: binding.Name, Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
		{Secret: &corev1.SecretProjection{LocalObjectReference: own}},
		{Secret: &corev1.SecretProjection{LocalObjectReference: earlier, Items: []corev1.KeyToPath{{Key: secretsFile, Path: secretsFile}}}},
	}}}}
}

func (d Deploy) taskRunSpecs() []tektonv1.PipelineTaskRunSpec {
	return []tektonv1.PipelineTaskRunSpec{deployTaskRun()}
}

func (m Meta) manifestsWorkspace() tektonv1.WorkspaceBinding {
	return tektonv1.WorkspaceBinding{Name: workspaceManifests, Secret: &corev1.SecretVolumeSource{SecretName: m.SecretName()}}
}

func deployTaskRun() tektonv1.PipelineTaskRunSpec {
	return tektonv1.PipelineTaskRunSpec{PipelineTaskName: DeployTask, ServiceAccountName: manifests.DeployServiceAccount}
}

func (b Build) pipeline() string {
	switch {
	case b.Git != nil && b.Test != nil:
		return manifests.GitTestedPipelineName
	case b.Git != nil:
		return manifests.GitPipelineName
	case b.Test != nil:
		return manifests.TestedPipelineName
	}
	return manifests.PipelineName
}

func (b Build) annotations() map[string]string {
	own := map[string]string{
		manifests.AnnotationSource: b.Folder.Artifact,
		manifests.AnnotationTarget: b.Target,
	}
	if b.Test != nil {
		own[manifests.AnnotationTestStage] = b.Test.Stage
	}
	if b.Untrusted {
		own[manifests.AnnotationTrust] = manifests.TrustUntrusted
	}
	if len(b.DockerfileText) <= dockerfileLimit {
		own[manifests.AnnotationDockerfile] = b.DockerfileText
	}
	return b.annotate(own)
}

func (b Build) values() map[string][]byte {
	values := map[string][]byte{}
	for _, secret := range b.Secrets {
		if secret.Secret == "" {
			values[secret.ID] = secret.Value
		}
	}
	return values
}

func (b Build) dockerfile() string { return cmp.Or(b.Dockerfile, "Dockerfile") }

// engineArgs returns the arguments with which the engine builds the image, and its test.
func (b Build) engineArgs() []string {
	params := b.Params
	params.SecretIDs = nil
	if b.Test != nil && b.Test.Stage != "" {
		params.Tested = dockerfile.TestRun
	}
	for _, secret := range b.Secrets {
		params.SecretIDs = append(params.SecretIDs, secret.ID)
	}
	return b.Engine.Args(params)
}

func (b Build) params() tektonv1.Params {
	params := append(tektonv1.Params{param(paramName, b.App)}, b.sourceParams()...)
	registry, _, _ := strings.Cut(b.Repository, "/")
	params = append(params,
		param(paramRegistry, registry),
		param(paramImage, b.Repository),
		param(paramNodeImage, b.NodeRepository),
		param(paramTag, cmp.Or(b.Tag, b.Name)),
		param(paramDockerfile, b.dockerfile()),
		array(paramEngineArgs, b.engineArgs()))
	params = append(params, b.testParams()...)
	if b.NoDeploy {
		return append(params, param(paramDeploy, "false"))
	}
	return append(params, b.deployParams()...)
}

func (b Build) sourceParams() tektonv1.Params {
	if b.Git != nil {
		return tektonv1.Params{param(paramURL, b.Git.URL), param(paramRevision, b.Git.Revision), param(paramPath, b.Git.Path)}
	}
	return tektonv1.Params{
		param(paramSource, b.Folder.Artifact),
		// An OCI layout names a blob by sha256/<hex>.
		param(paramContextPath, strings.Replace(b.Folder.ContextDigest, ":", "/", 1)),
	}
}

// testParams returns how the image is tested; nothing if it is not.
func (b Build) testParams() tektonv1.Params {
	if b.Test == nil {
		return nil
	}
	params := tektonv1.Params{param(paramTest, testCommand)}
	if b.Test.Stage != "" {
		params = tektonv1.Params{param(paramTest, testStage), param(paramBuildTask, manifests.TestedBuildTask)}
	}
	if len(b.Test.Command) > 0 {
		params = append(params, array(paramTestCommand, b.Test.Command))
	}
	return params
}

func (b Build) workspaces() []tektonv1.WorkspaceBinding {
	deploy := b.manifestsWorkspace()
	if b.NoDeploy {
		deploy = tektonv1.WorkspaceBinding{Name: workspaceManifests, EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: resource.NewQuantity(1<<20, resource.BinarySI)}}
	}
	bindings := []tektonv1.WorkspaceBinding{
		{Name: workspaceRegistry, Secret: loginOfNamespace()},
		deploy,
	}
	if b.Git != nil && b.Git.Secret != "" {
		bindings = append(bindings, tektonv1.WorkspaceBinding{
			Name: workspaceGit, Secret: &corev1.SecretVolumeSource{SecretName: b.Git.Secret},
		})
	}
	if len(b.Secrets) > 0 {
		bindings = append(bindings, tektonv1.WorkspaceBinding{Name: workspaceSecrets, Projected: b.projectSecrets()})
	}
	return bindings
}

func (b Build) projectSecrets() *corev1.ProjectedVolumeSource {
	mode := secretMode
	projected := &corev1.ProjectedVolumeSource{DefaultMode: &mode}
	for _, secret := range b.Secrets {
		name, key := secret.Secret, secret.Key
		if name == "" {
			name, key = b.BuildSecretsName(), secret.ID
		}
		projected.Sources = append(projected.Sources, corev1.VolumeProjection{Secret: &corev1.SecretProjection{
			LocalObjectReference: corev1.LocalObjectReference{Name: name},
			Items:                []corev1.KeyToPath{{Key: key, Path: secret.ID}},
		}})
	}
	return projected
}

// taskRunSpecs gives each task its ServiceAccount, in the Pipeline's order.
func (b Build) taskRunSpecs() []tektonv1.PipelineTaskRunSpec {
	noToken := false
	var specs []tektonv1.PipelineTaskRunSpec
	if b.Git != nil {
		specs = append(specs, tektonv1.PipelineTaskRunSpec{
			PipelineTaskName:   FetchTask,
			ServiceAccountName: manifests.BuildServiceAccount,
			PodTemplate:        &pod.PodTemplate{AutomountServiceAccountToken: &noToken},
		})
	}
	build := tektonv1.PipelineTaskRunSpec{
		PipelineTaskName:   BuildTask,
		ServiceAccountName: manifests.BuildServiceAccount,
		// A Dockerfile can run any code.
		PodTemplate: &pod.PodTemplate{
			AutomountServiceAccountToken: &noToken,
			HostUsers:                    b.hostUsers(),
			NodeSelector:                 maps.Clone(b.Resources.NodeSelector),
		},
	}
	wanted, limits := b.Resources.list(), maps.Clone(b.Resources.Limits)
	if limits == nil {
		limits = corev1.ResourceList{}
	}
	maps.Copy(limits, wanted)
	if len(limits) > 0 {
		build.StepSpecs = []tektonv1.TaskRunStepSpec{{
			Name:             BuildStep,
			ComputeResources: corev1.ResourceRequirements{Requests: wanted, Limits: limits},
		}}
	}
	specs = append(append(specs, build), b.testTaskRuns(build)...)
	return append(specs, deployTaskRun())
}

// hostUsers returns the field of pods of that name.
func (b Build) hostUsers() *bool {
	if !b.UserNamespace {
		return nil
	}
	return new(false)
}

func (r Resources) list() corev1.ResourceList {
	list := corev1.ResourceList{}
	for name, quantity := range map[corev1.ResourceName]resource.Quantity{
		corev1.ResourceCPU:              r.CPU,
		corev1.ResourceMemory:           r.Memory,
		corev1.ResourceEphemeralStorage: r.Storage,
	} {
		if !quantity.IsZero() {
			list[name] = quantity
		}
	}
	return list
}

// testTaskRuns returns the spec of the task that tests the image. It has the resources of
// the build and runs on the same nodes.
func (b Build) testTaskRuns(build tektonv1.PipelineTaskRunSpec) []tektonv1.PipelineTaskRunSpec {
	if b.Test == nil || b.Test.Stage != "" {
		return nil
	}
	test := *build.DeepCopy()
	test.PipelineTaskName = TestTask
	noLinks := false
	test.PodTemplate = &pod.PodTemplate{
		AutomountServiceAccountToken: build.PodTemplate.AutomountServiceAccountToken,
		HostUsers:                    build.PodTemplate.HostUsers,
		NodeSelector:                 test.PodTemplate.NodeSelector,
		// Tests must not depend on the variables of Services that happen to exist.
		EnableServiceLinks: &noLinks,
		ImagePullSecrets:   []corev1.LocalObjectReference{{Name: manifests.RegistrySecret}},
	}
	for i := range test.StepSpecs {
		test.StepSpecs[i].Name = TestStep
	}
	return []tektonv1.PipelineTaskRunSpec{test}
}

func param(name, value string) tektonv1.Param {
	return tektonv1.Param{Name: name, Value: *tektonv1.NewStructuredValues(value)}
}

func array(name string, values []string) tektonv1.Param {
	return tektonv1.Param{Name: name, Value: tektonv1.ParamValue{Type: tektonv1.ParamTypeArray, ArrayVal: values}}
}
