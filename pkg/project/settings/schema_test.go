package settings_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
	"github.com/santhosh-tekuri/jsonschema/v6"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/generate/variant"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/settings"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
)

const schemaFile = "pyproject.schema.json"

// kinds returns the settings, by their dotted names, with the types that the documentation and
// the schema give them.
func kinds(t *testing.T, table reflect.Type, prefix string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for i := range table.NumField() {
		field := table.Field(i)
		key, ok := field.Tag.Lookup("toml")
		if !ok {
			if field.IsExported() {
				t.Errorf("%s has no key", field.Name)
			}
			continue
		}
		switch field.Type {
		case reflect.TypeFor[string](), reflect.TypeFor[app.Expose](), reflect.TypeFor[app.Probe](), reflect.TypeFor[app.Concurrency](), reflect.TypeFor[resource.Quantity]():
			found[prefix+key] = "string"
		case reflect.TypeFor[int32](), reflect.TypeFor[*int32]():
			found[prefix+key] = "integer"
		case reflect.TypeFor[map[string]app.Variable]():
			found[prefix+key] = "table of strings or tables"
		case reflect.TypeFor[app.Hosts]():
			found[prefix+key] = "string or array of strings"
		case reflect.TypeFor[app.TLS]():
			found[prefix+key] = "string or table"
		case reflect.TypeFor[app.NetworkPolicy]():
			found[prefix+key] = "boolean or table"
		case reflect.TypeFor[[]app.EnvFrom]():
			found[prefix+key] = "array of tables"
		case reflect.TypeFor[[]string]():
			found[prefix+key] = "array"
		case reflect.TypeFor[map[string]string](), reflect.TypeFor[corev1.ResourceList]():
			found[prefix+key] = "table of strings"
		case reflect.TypeFor[map[string]settings.Process]():
			found[prefix+key] = "table of processes"
		default:
			if field.Type.Kind() != reflect.Struct {
				t.Fatalf("%s has a type that is not known here: %s", prefix+key, field.Type)
			}
			maps.Copy(found, kinds(t, field.Type, prefix+key+"."))
		}
	}
	return found
}

// schema is a part of a JSON schema.
type schema struct {
	Ref                  string             `json:"$ref"`
	Description          string             `json:"description"`
	Type                 string             `json:"type"`
	Properties           map[string]*schema `json:"properties"`
	PatternProperties    map[string]*schema `json:"patternProperties"`
	AdditionalProperties any                `json:"additionalProperties"`
	Enum                 []string           `json:"enum"`
	AnyOf                []*schema          `json:"anyOf"`
	Items                *schema            `json:"items"`
	AllOf                []*schema          `json:"allOf"`
	Definitions          map[string]*schema `json:"definitions"`
}

// either returns the type of a property that has one of two.
func (s *schema) either(t *testing.T, property *schema) string {
	t.Helper()
	names := map[string]string{"object": "table", "array": "array of strings"}
	var types []string
	for _, one := range property.AnyOf {
		kind := one.Type
		if one.Ref != "" {
			kind = readSchema(t).Definitions[strings.TrimPrefix(one.Ref, "#/definitions/")].Type
		}
		types = append(types, cmp.Or(names[kind], kind))
	}
	return strings.Join(types, " or ")
}

// additional returns the schema of the other properties, with its type if that is one.
func additional(s *schema) *schema {
	other, _ := s.AdditionalProperties.(map[string]any)
	if _, several := other["anyOf"]; several {
		return &schema{}
	}
	return &schema{Type: "string"}
}

func readSchema(t *testing.T) *schema {
	t.Helper()
	text, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	root := &schema{}
	if err := json.Unmarshal(text, root); err != nil {
		t.Fatal(err)
	}
	return root
}

// kinds returns the properties in the form of the other kinds.
func (s *schema) kinds(t *testing.T, prefix string) map[string]string {
	t.Helper()
	found := map[string]string{}
	if s.AdditionalProperties != false {
		t.Errorf("%q allows keys that there are not", prefix)
	}
	for key, property := range s.Properties {
		switch {
		case property.Description == "":
			t.Errorf("%s is not described", prefix+key)
		case property.Type == "" && len(property.AnyOf) == 2:
			found[prefix+key] = s.either(t, property)
		case property.Type == "array" && property.Items.Type == "object":
			found[prefix+key] = "array of tables"
		case property.Type != "object":
			found[prefix+key] = property.Type
		case key == "processes":
			found[prefix+key] = "table of processes"
		case len(property.Properties) == 0 && additional(property).Type == "":
			found[prefix+key] = "table of strings or tables"
		case len(property.Properties) == 0:
			found[prefix+key] = "table of strings"
		default:
			maps.Copy(found, property.kinds(t, prefix+key+"."))
		}
	}
	return found
}

func TestSchemaHasTheSettings(t *testing.T) {
	root := readSchema(t)
	table := root.Definitions["settings"]
	want, got := kinds(t, reflect.TypeFor[settings.Settings](), ""), table.kinds(t, "")
	maps.Copy(want, kinds(t, reflect.TypeFor[settings.Process](), "processes.NAME."))
	maps.Copy(got, root.Definitions["process"].kinds(t, "processes.NAME."))
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if got[key] != want[key] {
			t.Errorf("%s is a %s, and a %q in the schema", key, want[key], got[key])
		}
	}
	for _, key := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[key]; !ok && key != "app" {
			t.Errorf("the schema has %s, which is not a setting", key)
		}
	}
	var exposes []string
	for _, expose := range app.Exposes() {
		exposes = append(exposes, string(expose))
	}
	var concurrencies []string
	for _, concurrency := range app.Concurrencies() {
		concurrencies = append(concurrencies, string(concurrency))
	}
	for _, list := range []struct{ got, want []string }{
		{root.Definitions["process"].Properties["concurrency"].AnyOf[0].Enum, concurrencies},
		{table.Properties["expose"].AnyOf[0].Enum, exposes},
		{table.Properties["build"].Properties["variant"].Enum, variant.Names()},
		{root.Definitions["probe"].AnyOf[0].Enum, []string{string(app.ProbeTCP), string(app.ProbeNone)}},
	} {
		if !slices.Equal(list.got, list.want) {
			t.Errorf("the schema allows %v, want %v", list.got, list.want)
		}
	}
}

func TestSchemaAgrees(t *testing.T) {
	text, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(schemaFile, document); err != nil {
		t.Fatal(err)
	}
	validator, err := compiler.Compile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}

	const (
		both    = "both accept it"
		neither = "both refuse it"
		program = "the program alone refuses it"
	)
	for content, want := range map[string]string{
		everything: both,
		"":         both,
		"tool = {}\n[project]\nname = 1\n[tool.other]\nname = 1": both,
		"tool.pyflow.port = 'x'":                                 both,
		"tool.kubectl-pyflow = {}":                               both,
		"tool.kubectl-pyflow = 1":                                neither,
		"[[tool.kubectl-pyflow]]\nname = 'a'":                    neither,
	} {
		agree(t, validator, content, want)
	}
	for line, want := range map[string]string{
		"names = 'a'": neither, "name = 1": neither, "name = ''": neither, "name = 'a'": both, "name = 'a-b9'": both, "name = 'a-'": neither, "name = '9'": neither, "name = 'A'": neither,
		"name = 'abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyza'":  both,
		"name = 'abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzab'": neither,
		"entrypoint = 'main:app'": both, "entrypoint = 'a.b_c:d.e'": both, "entrypoint = 'größe:app'": both, "entrypoint = '_:_1'": both, "entrypoint = 'main'": neither, "entrypoint = 'main:'": neither, "entrypoint = '1:a'": neither,
		"entrypoint = 'a.py:a()'": neither, "entrypoint = 'a/b:c'": neither, "entrypoint = ' a:b'": neither, `entrypoint = "a:b\n"`: neither, "entrypoint = 'a..b:c'": neither,
		"app = 'main:app'": both, "app = 'main'": neither, "app = 'main:app'\nentrypoint = 'main:app'": neither,
		"python = '3.13'": both, "python = '3.9'": both, "python = 3.13": neither, "python = '3'": neither, "python = '3.013'": neither, "python = '2.7'": neither, "python = '3.13.1'": neither,
		"port = 1": both, "port = 65535": both, "port = 0": neither, "port = -1": neither, "port = 65536": neither, "port = '80'": neither, "port = 80.5": neither, "port = 80.0": program,
		"context = '../..'": both, "context = 'a'": both, "context = '.'": both, "context = ''": neither, "context = ' '": neither, "context = '/a'": neither, "context = ' /a'": neither, "context = 1": neither,
		"user = '10001'": both, "user = '10001:0'": both, "user = '1:2'": both, "user = '0'": neither, "user = '0:1'": neither, "user = 'root'": neither, "user = 'app'": both, "user = 'app:web'": both, "user = '10001:web'": both, "user = 'app:20'": both, "user = 'root:web'": neither, "user = 'rooter'": both, "user = 'app:'": neither, "user = ':web'": neither, "user = 'a b'": neither, "user = '1a'": neither, "user = 'app:root'": both, "user = '01'": neither, "user = '1:'": neither, "user = '1:01'": neither, "user = ''": neither, "user = 1": neither, "user = '-1'": neither,
		"user = '4294967296'": program, "user = '1:4294967296'": program,
		"replicas = 0": both, "replicas = 2147483647": both, "replicas = 2147483648": neither, "replicas = -1": neither, "replicas = false": neither,
		"expose = 'None'": both, "expose = 'loadBALANCER'": both, "expose = 'nodeport'": both, "expose = 'CLUSTERIP'": both, "expose = 'NONE'": both, "expose = 'ExternalName'": neither, "expose = ''": neither, "expose = false": neither,
		"test = 'pytest'": both, "test = ' '": neither, "test = ''": neither, "test = ['pytest']": neither, `test = "pytest -k 'slow"`: program, "test = '# pytest'": program,
		"autoscale = {}": neither, "autoscale = {max = 2}": both, "autoscale = {min = 1, max = 2, cpu = 70}": both, "autoscale = {min = 3, max = 2}": program, "autoscale = {max = 0}": neither, "autoscale = {min = 0, max = 2}": neither, "autoscale = {max = '2'}": neither,
		"autoscale = {max = 2, cpu = 20000}": neither, "autoscale = {max = 2, memory = 70}": neither, "autoscale = 2": neither, "replicas = 2\nautoscale = {max = 3}": program, "autoscale = {min = 2}": neither,
		"host = 'a.example.com'": both, "host = ['a.b', '*.b']": both, "host = []": neither, "host = ''": neither, "host = 'https://a.b'": neither, "host = 'a.b/c'": neither, "host = 'A.b'": neither, "host = '10.0.0.1'": neither, "host = ['a.b', 'a.b']": neither, "host = 1": neither, "host = [1]": neither,
		"tls = 'a'": both, "tls = ''": neither, "tls = {}": neither, "tls = {secret = 'a'}": both, "tls = {cluster-issuer = 'a', secret = 'b'}": both, "tls = {issuer = 'a'}": neither, "tls = true": neither, "tls = {cluster-issuer = ''}": neither, "tls = {cluster-issuer = 'A'}": neither, "tls = {secret = 1}": neither,
		"ingress-class = 'nginx'": both, "ingress-class = ''": neither, "ingress-class = 'a b'": neither, "gateway = 'public'": both, "gateway = 'infra/public'": both, "gateway = '/a'": neither, "gateway = 'a/b/c'": neither, "gateway = ''": neither, "gateway = 'a'\ningress-class = 'b'": program, "gateway = 'a'\ntls = 'b'": program,
		"host = 'a.b'\nexpose = 'None'": program, "network-policy = true": both, "network-policy = false": both, "network-policy = 'a'": neither, "network-policy = {}": neither, "network-policy = {namespaces = []}": neither, "network-policy = {namespaces = ['a', 'b']}": both, "network-policy = {namespaces = 'a'}": neither,
		"network-policy = {namespaces = [1]}": neither, "network-policy = {namespaces = ['A']}": neither, "network-policy = {namespace = ['a']}": neither, "network-policy = {namespaces = ['a']}\nexpose = 'NodePort'": program,
		"env = {}": both, "env = {A = ''}": both, "env = {'a.b-c' = 'x y', _ = '$(A)'}": both, "env = {A = 1}": neither, "env = {A = true}": neither, "env = {A = ['x']}": neither, "env = 'A=1'": neither,
		"env = {1A = ''}": neither, "env = {'' = ''}": neither, "env = {'A B' = ''}": neither, "env = {'..' = ''}": neither, "env = {'.' = ''}": neither, "env = {'..a' = ''}": neither, "env = {'.a' = ''}": both, `env = {A = "\u0000"}`: neither, `env = {A = "a\nb"}`: both,
		"env = {PORT = '1'}": program, "env = {A = {}}": neither, "env = {A = {secret = 'a'}}": both, "env = {A = {secret = 'a.b-c', key = 'k_1.x'}}": both, "env = {A = {config-map = 'a', key = 'k'}}": both, "env = {A = {secret = 'a', config-map = 'b'}}": neither,
		"env = {A = {key = 'k'}}": neither, "env = {A = {secret = 'A'}}": neither, "env = {A = {secret = ''}}": neither, "env = {A = {secret = 1}}": neither, "env = {A = {secret = 'a', key = ''}}": neither, "env = {A = {secret = 'a', key = 'k k'}}": neither, "env = {A = {secret = 'a', prefix = 'B'}}": neither,
		"env-from = []": both, "env-from = {}": neither, "env-from = 'a'": neither, "env-from = ['a']": neither, "env-from = [{secret = 'a'}, {config-map = 'b', prefix = 'B_'}]": both, "env-from = [{}]": neither, "env-from = [{secret = 'a', key = 'b'}]": neither,
		"env-from = [{secret = 'a', config-map = 'b'}]": neither, "env-from = [{secret = 'a', prefix = '1'}]": neither, "env-from = [{secret = 'a', prefix = ''}]": both, "env-from = [{secret = 'A'}]": neither, "env.PORT = {secret = 'a'}": program,
		"env = {ä = ''}": neither, "env = {'ä' = ''}": neither,
		"resources = {}": both, "resources = {limits = {}}": both, "resources = {limit = {}}": neither, "resources = {limits = 'cpu=1'}": neither, "resources.limits.cpu = 1": neither, "resources.limits.cpu = '0'": both,
		"resources.limits.cpu = '1.5'": both, "resources.limits.cpu = '.5'": both, "resources.limits.cpu = '1.'": both, "resources.limits.cpu = '+1'": both, "resources.limits.cpu = '1e3'": both, "resources.limits.cpu = '1E'": both, "resources.limits.cpu = '100n'": both,
		"resources.limits.cpu = '1K'": neither, "resources.limits.cpu = '1 k'": neither, "resources.limits.cpu = '-1'": neither, "resources.limits.cpu = '-0'": neither, "resources.limits.cpu = ''": neither, "resources.limits.cpu = '.'": neither, "resources.limits.cpu = '+'": neither, "resources.limits.cpu = 'Ki'": neither, "resources.limits.cpu = 'e3'": neither, "resources.limits.cpu = '1.2.3'": neither, "resources.limits.cpu = '1e'": neither, "resources.limits.cpu = '1mi'": neither,
		"resources.limits.ephemeral-storage = '1Gi'": both, "resources.limits.storage = '1Gi'": neither, "resources.limits.pods = '1'": neither, "resources.limits.hugepages-2Mi = '4Mi'": both, "resources.limits.hugepages-x = '4Mi'": neither,
		"resources.limits.'nvidia.com/gpu' = '1'": both, "resources.limits.'nvidia.com/gpu' = '0.5'": program, "resources.requests.'nvidia.com/gpu' = '1'": program, "resources.limits.'/gpu' = '1'": neither, "resources.limits.nvidia.com.gpu = '1'": neither,
		"resources = {requests = {cpu = '2'}, limits = {cpu = '1'}}": program,
		"probes = {}": both, "probes = 'tcp'": neither, "probes.startup = 'tcp'": both, "probes.startup = 'none'": both, "probes.startup = 'http'": neither, "probes.startup = ''": neither, "probes.ready = 'tcp'": neither,
		"probes.liveness = '/'": both, "probes.liveness = '/a/%20b?c=100%'": both, "probes.liveness = '/?a'": both, "probes.liveness = 'a'": neither, "probes.liveness = '//a'": neither, "probes.liveness = '/a b'": neither, "probes.liveness = '/a#b'": neither, "probes.liveness = '/100%'": neither, "probes.liveness = false": neither,
		"processes = {}": both, "processes = []": neither, "processes = 'a'": neither, "processes.worker = 'a'": both, "processes.worker = ''": neither, "processes.worker = 1": neither, "processes.worker = ['a']": neither,
		"processes.worker = {}": neither, "processes.worker = {command = ''}": neither, "processes.worker = {command = 1}": neither, "processes.worker = {command = 'a'}": both, "processes.worker = {command = 'a', cmd = 'b'}": neither,
		"processes.worker = \"a 'b\"": program, "processes.worker = 'a && b'": both, "processes.worker = 'a &&'": program, "processes.worker = '# a'": program,
		"processes.Worker = 'a'": neither, "processes.send_mail = 'a'": neither, "processes.'2' = 'a'": neither, "processes.a- = 'a'": neither, "processes.send-mail2 = 'a'": both,
		"processes.worker = {command = 'a', replicas = 2}": both, "processes.worker = {command = 'a', replicas = 0}": both, "processes.worker = {command = 'a', replicas = -1}": neither, "processes.worker = {command = 'a', replicas = '2'}": neither,
		"processes.worker = {command = 'a', env = {A = '1'}}": both, "processes.worker = {command = 'a', env = {'A B' = '1'}}": neither, "processes.worker = {command = 'a', env = {A = 1}}": neither,
		"processes.worker = {command = 'a', resources.limits.memory = '1Gi'}": both, "processes.worker = {command = 'a', resources.limits.memory = '1GB'}": neither, "processes.worker = {command = 'a', limits.memory = '1Gi'}": neither,
		"processes.worker = {command = 'a', resources = {requests = {cpu = '2'}, limits = {cpu = '1'}}}": program, "resources.limits.cpu = '1'\nprocesses.worker = {command = 'a', resources.requests.cpu = '2'}": program,
		"processes.worker = {command = 'a', timeout = '1m'}": neither, "processes.worker = {command = 'a', timezone = 'Etc/UTC'}": neither, "processes.worker = {command = 'a', concurrency = 'Allow'}": neither,
		"processes.web = 'a'": both, "processes.web = {command = 'a'}": both, "processes.web = {}": neither, "processes.web = {command = 'a', replicas = 2}": neither, "processes.web = {command = 'a', env = {}}": neither, "processes.web = {command = 'a', resources = {}}": neither, "processes.web = {command = 'a', schedule = '@daily'}": neither,
		"entrypoint = 'a:b'\nprocesses.web = 'a'": neither, "app = 'a:b'\nprocesses.web = 'a'": neither, "entrypoint = 'a:b'\nprocesses.worker = 'a'": both,
		"processes.release = 'a'": both, "processes.release = {command = 'a', timeout = '1h30m', env = {}, resources = {}}": both, "processes.release = {command = 'a', replicas = 1}": neither, "processes.release = {command = 'a', schedule = '@daily'}": neither, "processes.release = {command = 'a', timezone = 'Etc/UTC'}": neither, "processes.release = {command = 'a', concurrency = 'Allow'}": neither,
		"processes.release = {command = 'a', timeout = '0s'}": program, "processes.release = {command = 'a', timeout = '10'}": neither, "processes.release = {command = 'a', timeout = 10}": neither, "processes.release = {command = 'a', timeout = '-1m'}": neither, "processes.release = {command = 'a', timeout = '1.5m'}": both,
		"processes.a = {command = 'a', schedule = '30 4 * * *'}": both, "processes.a = {command = 'a', schedule = ' @daily'}": program, "processes.a = {command = 'a', schedule = '@hourly', timezone = 'Europe/Berlin', concurrency = 'replace', timeout = '1h'}": both,
		"processes.a = {command = 'a', schedule = '* * * *'}": neither, "processes.a = {command = 'a', schedule = '61 * * * *'}": program, "processes.a = {command = 'a', schedule = ''}": neither, "processes.a = {command = 'a', schedule = 'TZ=UTC 0 4 * * *'}": neither, "processes.a = {command = 'a', schedule = '@never'}": program,
		"processes.a = {command = 'a', schedule = '@daily', replicas = 1}": neither, "processes.a = {command = 'a', schedule = '@daily', timezone = 'Mars/Olympus'}": program, "processes.a = {command = 'a', schedule = '@daily', timezone = ''}": neither, "processes.a = {command = 'a', schedule = '@daily', concurrency = 'Queue'}": neither,
		"build = {}": both, "build = []": neither, "build.dockerfiles = 'a'": neither,
		"build.dockerfile = 'a'": both, "build.dockerfile = 'docker/a'": both, "build.dockerfile = './.a'": both, "build.dockerfile = '..a'": both, "build.dockerfile = ''": neither, "build.dockerfile = '/a'": neither, "build.dockerfile = '.'": neither, "build.dockerfile = './'": neither, "build.dockerfile = '..'": neither, "build.dockerfile = '../a'": neither, "build.dockerfile = './../a'": neither, "build.dockerfile = 'a/../../b'": program,
		"build.target = 'run'": both, "build.target = ''": neither, "build.target = 1": neither, "build.variant = 'slim'": both, "build.variant = 'bloated'": both, "build.variant = 'alpine'": neither, "build.variant = ''": neither, "build.variant = 1": neither,
		"build.args = {}": both, "build.args = {A_1 = ''}": both, "build.args = {A = 1}": neither, "build.args = {A-B = ''}": neither, "build.args = {1A = ''}": neither, "build.args = ['A=1']": neither, `build.args = {A = "\u0000"}`: neither,
		"build.cpu = '500m'": both, "build.cpu = '0.001'": both, "build.cpu = '1e-3'": both, "build.cpu = '0'": neither, "build.cpu = '0.0'": neither, "build.cpu = '0e3'": neither, "build.cpu = '+0'": neither, "build.cpu = '.0k'": neither, "build.cpu = ''": neither, "build.cpu = 2": neither, "build.cpu = '2x'": neither,
		"build.memory = '2Gi'": both, "build.memory = '2GB'": neither, "build.storage = '2Gi'": both, "build.storage = '0Gi'": neither,
		"build.allow-secret-files = []": both, "build.allow-secret-files = ['a/*.pem', './b']": both, "build.allow-secret-files = ['']": neither, "build.allow-secret-files = ['/a']": neither, "build.allow-secret-files = ['[']": program, "build.allow-secret-files = 'a'": neither, "build.allow-secret-files = [1]": neither,
		"build.node-selector = {}": both, "build.node-selector = {'kubernetes.io/arch' = 'arm64', pool = ''}": both, "build.node-selector = {'a b' = ''}": neither, "build.node-selector = {a = 'b c'}": neither, "build.node-selector = {a = 1}": neither, "build.node-selector = 'a=b'": neither, "build.node-selector = {'a/b/c' = ''}": neither,
	} {
		agree(t, validator, "[tool.kubectl-pyflow]\n"+line+"\n", want)
	}
}

// agree compares the verdicts of the schema and of the program on a file.
func agree(t *testing.T, validator *jsonschema.Schema, content, want string) {
	t.Helper()
	values := map[string]any{}
	_, refused := settings.Parse([]byte(content))
	if err := toml.Unmarshal([]byte(content), &values); err != nil {
		return // An editor says so without a schema.
	}
	text, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	invalid := validator.Validate(document)
	got := "the schema alone refuses it"
	switch {
	case refused == nil && invalid == nil:
		got = "both accept it"
	case refused != nil && invalid != nil:
		got = "both refuse it"
	case refused != nil:
		got = "the program alone refuses it"
	}
	if got != want {
		t.Errorf("%s\n%s, want that %s\nprogram: %v\nschema: %v", content, got, want, refused, invalid)
	}
}
