package settings_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/settings"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/toml"
)

const everything = `[project]
name = "hiking"

[tool.kubectl-pyflow]
name = "mountains"
entrypoint = "hiking.web:create.app"
python = "3.13"
port = 5_000
replicas = 0
expose = "clusterip"
test = "pytest -k 'not slow'"

[tool.kubectl-pyflow.env]
LOG_LEVEL = "debug"
MOTD = """
two
lines"""
PORT = "5000"
DATABASE_URL = { secret = "shop-db", key = "url" }
TOKEN = { secret = "shop" }
REGION = { config-map = "site", key = "region" }

[[tool.kubectl-pyflow.env-from]]
secret = "shop-env"
[[tool.kubectl-pyflow.env-from]]
config-map = "shop-config"
prefix = "APP_"

[tool.kubectl-pyflow.resources]
requests = { cpu = "500m", memory = "1Gi", "nvidia.com/gpu" = "1" }
limits = { cpu = "1", "nvidia.com/gpu" = "1" }

[tool.kubectl-pyflow.probes]
startup = "tcp"
readiness = "/readyz"
liveness = "none"

[tool.kubectl-pyflow.processes]
worker = "celery -A hiking worker"
release = { command = "python manage.py migrate", timeout = "20m" }

[tool.kubectl-pyflow.processes.cleanup]
command = "python manage.py clearsessions"
schedule = "30 4 * * *"
timezone = "Europe/Berlin"
concurrency = "replace"
env = { LOG_LEVEL = "info" }
resources = { requests = { memory = "2Gi" } }

[tool.kubectl-pyflow.processes.mail]
command = "celery -A hiking worker -Q mail"
replicas = 2

[tool.kubectl-pyflow.build]
dockerfile = "docker/Dockerfile"
target = "run"
variant = "distroless"
args = { EMPTY = "", INDEX = "main" }
cpu = "2"
memory = "4Gi"
storage = "10Gi"
node-selector = { "kubernetes.io/arch" = "arm64", pool = "" }

[tool.ruff]
line-length = 100
`

func all() *settings.Settings {
	return &settings.Settings{
		Name: "mountains", Entrypoint: "hiking.web:create.app", Python: "3.13", Port: 5000, Replicas: new(int32),
		Expose: app.ExposeClusterIP, Test: "pytest -k 'not slow'",
		Env: map[string]app.Variable{
			"LOG_LEVEL": app.Text("debug"), "MOTD": app.Text("two\nlines"), "PORT": app.Text("5000"),
			"DATABASE_URL": {From: app.Source{Kind: app.SourceSecret, Name: "shop-db", Key: "url"}},
			"TOKEN":        {From: app.Source{Kind: app.SourceSecret, Name: "shop", Key: "TOKEN"}},
			"REGION":       {From: app.Source{Kind: app.SourceConfigMap, Name: "site", Key: "region"}},
		},
		EnvFrom: []app.EnvFrom{
			{Source: app.Source{Kind: app.SourceSecret, Name: "shop-env"}},
			{Source: app.Source{Kind: app.SourceConfigMap, Name: "shop-config"}, Prefix: "APP_"},
		},
		Resources: settings.Resources{
			Requests: corev1.ResourceList{"cpu": resource.MustParse("500m"), "memory": resource.MustParse("1Gi"), "nvidia.com/gpu": resource.MustParse("1")},
			Limits:   corev1.ResourceList{"cpu": resource.MustParse("1"), "nvidia.com/gpu": resource.MustParse("1")},
		},
		Probes: app.Probes{Startup: app.ProbeTCP, Readiness: "/readyz", Liveness: app.ProbeNone},
		Processes: map[string]settings.Process{
			"worker":  {Command: "celery -A hiking worker"},
			"release": {Command: "python manage.py migrate", Timeout: "20m"},
			"cleanup": {
				Command: "python manage.py clearsessions", Schedule: "30 4 * * *", Timezone: "Europe/Berlin", Concurrency: app.ConcurrencyReplace,
				Env: app.Texts(map[string]string{"LOG_LEVEL": "info"}), Resources: settings.Resources{Requests: corev1.ResourceList{"memory": resource.MustParse("2Gi")}},
			},
			"mail": {Command: "celery -A hiking worker -Q mail", Replicas: new(int32(2))},
		},
		Build: settings.Build{
			Dockerfile: "docker/Dockerfile", Target: "run", Variant: "distroless",
			Args: map[string]string{"EMPTY": "", "INDEX": "main"},
			CPU:  resource.MustParse("2"), Memory: resource.MustParse("4Gi"), Storage: resource.MustParse("10Gi"),
			NodeSelector: map[string]string{"kubernetes.io/arch": "arm64", "pool": ""},
		},
	}
}

func diff(got, want *settings.Settings) string {
	return cmp.Diff(want, got, cmpopts.IgnoreUnexported(settings.Settings{}))
}

func TestParse(t *testing.T) {
	env := func(env map[string]string) *settings.Settings { return &settings.Settings{Env: app.Texts(env)} }
	for name, test := range map[string]struct {
		content string
		want    *settings.Settings
	}{
		"nothing":                       {"", &settings.Settings{}},
		"no table":                      {"[tool.ruff]\nname = 1\n[pyflow]\nname = 1", &settings.Settings{}},
		"an empty table":                {"[tool.kubectl-pyflow]\n[tool.kubectl-pyflow.env]\n", env(map[string]string{})},
		"all":                           {everything, all()},
		"Windows":                       {strings.ReplaceAll(everything, "\n", "\r\n"), func() *settings.Settings { s := all(); s.Env["MOTD"] = app.Text("two\r\nlines"); return s }()},
		"a byte order mark":             {"\ufeff" + everything, all()},
		"inline":                        {`tool = {kubectl-pyflow = {env = {A = "b"}}}`, env(map[string]string{"A": "b"})},
		"dotted":                        {"tool.kubectl-pyflow.env.A = \"b\"\ntool . 'kubectl-pyflow' . \"env\".\"C\" = 'd'", env(map[string]string{"A": "b", "C": "d"})},
		"in pieces":                     {"[tool.kubectl-pyflow.env]\nA = 'b'\n[tool]\n[tool.kubectl-pyflow]\nenv2 = 1\n[x]", nil},
		"a name with a point":           {"[tool.kubectl-pyflow.env]\n\"a.b\" = 'c'\na-b = 'd'", env(map[string]string{"a.b": "c", "a-b": "d"})},
		"escaped":                       {`[tool.kubectl-pyflow]` + "\n" + `"\u0065nv" = {A = "\u0062\t"}`, env(map[string]string{"A": "b\t"})},
		"numbers as TOML writes":        {"[tool.kubectl-pyflow]\nport = 0x1F90", &settings.Settings{Port: 8080}},
		"the former name of entrypoint": {"[tool.kubectl-pyflow]\napp = 'main:app'", &settings.Settings{Entrypoint: "main:app"}},
		"another tool's table":          {"[tool.pyflow]\nname = 1\nport = 'x'\n[tool.pyflow.dependencies]\nfastapi = '^1'", &settings.Settings{}},
		"a file in a folder":            {"[tool.kubectl-pyflow.build]\ndockerfile = 'a/../b/Dockerfile'", &settings.Settings{Build: settings.Build{Dockerfile: "a/../b/Dockerfile"}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := settings.Parse([]byte(test.content))
			if test.want == nil {
				if err == nil {
					t.Error("no error")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := diff(got, test.want); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	const table = "[tool.kubectl-pyflow]\n"
	for name, test := range map[string]struct{ content, want string }{
		"not TOML":                  {table + "name = \n", "pyproject.toml:2:8: incomplete number"},
		"twice":                     {table + "name = 'a'\nname = 'b'\n", "pyproject.toml:3:1: key name is already defined"},
		"a table twice":             {table + "env.A = 'a'\n[tool.kubectl-pyflow.env]\nB = 'b'", "pyproject.toml:3:2: table env already exists"},
		"another table":             {"[tool]\nkubectl-pyflow = 'x'", "pyproject.toml:2:1: tool.kubectl-pyflow: is a string and must be a table"},
		"tables":                    {"[[tool.kubectl-pyflow]]\nname = 'x'", "pyproject.toml:1:8: tool.kubectl-pyflow: is an array and must be a table"},
		"unknown":                   {table + "heroes = 'red'", "pyproject.toml:2:1: tool.kubectl-pyflow.heroes: no such setting"},
		"a near miss":               {table + "replica = 1", "pyproject.toml:2:1: tool.kubectl-pyflow.replica: no such setting; did you mean replicas?"},
		"another case":              {table + "PORT = 1", "pyproject.toml:2:1: tool.kubectl-pyflow.PORT: no such setting; did you mean port?"},
		"another place":             {table + "variant = 'slim'", "pyproject.toml:2:1: tool.kubectl-pyflow.variant: no such setting; did you mean build.variant?"},
		"with an underscore":        {table + "build.node_selector = {}", "pyproject.toml:2:7: tool.kubectl-pyflow.build.node_selector: no such setting; did you mean node-selector?"},
		"a strange key":             {table + "'a\\b' = 1", `pyproject.toml:2:1: tool.kubectl-pyflow."a\\b": no such setting`},
		"deep":                      {table + "resources = { requests = {}, limit = {} }", "pyproject.toml:2:30: tool.kubectl-pyflow.resources.limit: no such setting; did you mean limits?"},
		"in too deep":               {table + "build.expose = 'none'", "pyproject.toml:2:7: tool.kubectl-pyflow.build.expose: no such setting"},
		"type of a name":            {table + "name = ['x']", "pyproject.toml:2:1: tool.kubectl-pyflow.name: is an array and must be a string"},
		"type of a version":         {table + "python = 3.13", "pyproject.toml:2:1: tool.kubectl-pyflow.python: is a number with a point and must be a string: put it in quotes"},
		"type of a port":            {table + "port = '8000'", "pyproject.toml:2:1: tool.kubectl-pyflow.port: is a string and must be an integer"},
		"type of replicas":          {table + "replicas = true", "pyproject.toml:2:1: tool.kubectl-pyflow.replicas: is a boolean and must be an integer"},
		"type of env":               {table + "env = [ { name = 'A', value = 'x' } ]", "pyproject.toml:2:1: tool.kubectl-pyflow.env: is an array and must be a table"},
		"an integer variable":       {table + "env.A = 1", "pyproject.toml:2:5: tool.kubectl-pyflow.env.A: is an integer and must be a string: put it in quotes, or a table with the key secret or config-map"},
		"a boolean variable":        {table + "[tool.kubectl-pyflow.env]\nB = 'b'\n\"A\" = true", "pyproject.toml:4:1: tool.kubectl-pyflow.env.A: is a boolean and must be a string: put it in quotes"},
		"a date":                    {table + "env.A = 2026-01-01", "pyproject.toml:2:5: tool.kubectl-pyflow.env.A: is a date or a time and must be a string: put it in quotes"},
		"a table of variables":      {table + "env.A.B = 'x'", "pyproject.toml:2:7: tool.kubectl-pyflow.env.A: B is none of secret, config-map and key"},
		"a near miss in a variable": {table + "env.A = {configmap = 'x'}", "pyproject.toml:2:10: tool.kubectl-pyflow.env.A: configmap is none of secret, config-map and key; did you mean config-map?"},
		"an empty variable":         {table + "env.A = {}", `pyproject.toml:2:5: tool.kubectl-pyflow.env.A: it names neither a Secret nor a ConfigMap: write secret = "NAME" or config-map = "NAME"`},
		"two sources":               {table + "env.A = {secret = 'a', config-map = 'b'}", "pyproject.toml:2:24: tool.kubectl-pyflow.env.A: it names a Secret and a ConfigMap: name one of them"},
		"no Secret's name":          {table + "env.A = {secret = 'A_b'}", "pyproject.toml:2:10: tool.kubectl-pyflow.env.A: this is not the name of a Secret: lower case letters, digits, - and . make a name"},
		"no key":                    {table + "env.A = {secret = 'a', key = ''}", "pyproject.toml:2:5: tool.kubectl-pyflow.env.A: this is not a key of a Secret: letters, digits, -, _ and . make a key"},
		"type of a Secret":          {table + "env.A = {secret = 1}", "pyproject.toml:2:10: tool.kubectl-pyflow.env.A.secret: is an integer and must be a string: put it in quotes"},
		"a port from a Secret":      {table + "env.PORT = {secret = 'a'}", "pyproject.toml:2:5: tool.kubectl-pyflow.env.PORT: the app gets PORT from the setting port"},
		"type of sources":           {table + "env-from = {secret = 'a'}", "pyproject.toml:2:1: tool.kubectl-pyflow.env-from: is a table and must be an array"},
		"type of a source":          {table + "env-from = [{secret = 'a'}, 'b']", "pyproject.toml:2:29: tool.kubectl-pyflow.env-from.1: is a string and must be a table"},
		"a key of a source":         {table + "env-from = [{secret = 'a', key = 'b'}]", "pyproject.toml:2:28: tool.kubectl-pyflow.env-from.0: key is none of secret, config-map and prefix"},
		"a prefix":                  {table + "env-from = [{secret = 'a', prefix = '1'}]", `pyproject.toml:2:13: tool.kubectl-pyflow.env-from.0: "1" cannot start the name of a variable`},
		"type of a quantity":        {table + "resources.limits.cpu = 1", "pyproject.toml:2:18: tool.kubectl-pyflow.resources.limits.cpu: is an integer and must be a string: put it in quotes"},
		"type of limits":            {table + "resources.limits = 'cpu=1'", "pyproject.toml:2:11: tool.kubectl-pyflow.resources.limits: is a string and must be a table"},
		"type of a probe":           {table + "probes.liveness = false", "pyproject.toml:2:8: tool.kubectl-pyflow.probes.liveness: is a boolean and must be a string: put it in quotes"},
		"type of CPU":               {table + "build.cpu = 2", "pyproject.toml:2:7: tool.kubectl-pyflow.build.cpu: is an integer and must be a string: put it in quotes"},
		"a name":                    {table + "name = 'My App'", `pyproject.toml:2:1: tool.kubectl-pyflow.name: "My App" cannot be the name of an app: it does not start with a lower case letter`},
		"an empty name":             {table + "name = ''", `pyproject.toml:2:1: tool.kubectl-pyflow.name: "" cannot be the name of an app: it is empty`},
		"a path as app":             {table + "entrypoint = 'src/main.py:app'", `pyproject.toml:2:1: tool.kubectl-pyflow.entrypoint: "src/main.py:app" is not of the form module:attribute, such as main:app`},
		"both names":                {table + "app = 'main:app'\nentrypoint = 'main:app'", "pyproject.toml:2:1: tool.kubectl-pyflow.app: app is the former name of entrypoint, which is set too: remove app"},
		"the former name elsewhere": {table + "build.app = 'main:app'", "pyproject.toml:2:7: tool.kubectl-pyflow.build.app: no such setting"},
		"no attribute":              {table + "app = 'main'", `pyproject.toml:2:1: tool.kubectl-pyflow.app: "main" is not of the form module:attribute`},
		"a patch version":           {table + "python = '3.13.1'", `pyproject.toml:2:1: tool.kubectl-pyflow.python: "3.13.1" is not a version of Python 3 of the form MAJOR.MINOR, such as 3.13`},
		"no port":                   {table + "port = 0", "pyproject.toml:2:1: tool.kubectl-pyflow.port: 0 is not a port: use 1 to 65535"},
		"beyond ports":              {table + "port = 65536", "pyproject.toml:2:1: tool.kubectl-pyflow.port: 65536 is not a port: use 1 to 65535"},
		"beyond integers":           {table + "port = 99999999999", "pyproject.toml:2:1: tool.kubectl-pyflow.port: the number is out of range"},
		"negative replicas":         {table + "replicas = -1", "pyproject.toml:2:1: tool.kubectl-pyflow.replicas: -1 is negative"},
		"another exposure":          {table + "expose = 'ingress'", `pyproject.toml:2:1: tool.kubectl-pyflow.expose: "ingress" is not one of NodePort, ClusterIP, LoadBalancer and None`},
		"replicas twice":            {table + "replicas = 2\nautoscale = {max = 3}", "pyproject.toml:3:1: tool.kubectl-pyflow.autoscale: it sets the replicas, and so does replicas: remove one of them"},
		"no maximum":                {table + "autoscale = {min = 3}", "pyproject.toml:2:1: tool.kubectl-pyflow.autoscale: max is missing: it is the most replicas"},
		"a minimum above":           {table + "autoscale = {min = 3, max = 2}", "pyproject.toml:2:1: tool.kubectl-pyflow.autoscale: min is 3, more than the max of 2"},
		"no replicas to scale to":   {table + "autoscale = {min = 0, max = 2}", "pyproject.toml:2:14: tool.kubectl-pyflow.autoscale.min: it is not a positive number"},
		"a URL as host":             {table + "host = 'https://shop.example.com/'", `pyproject.toml:2:1: tool.kubectl-pyflow.host: "https://shop.example.com/" is not the name of a host, such as shop.example.com: lower case, without https:// and without a path`},
		"a host twice":              {table + "host = ['a.b', 'a.b']", "pyproject.toml:2:1: tool.kubectl-pyflow.host: a.b is given twice"},
		"no host":                   {table + "host = []", "pyproject.toml:2:1: tool.kubectl-pyflow.host: it is empty: name one, or leave the key out"},
		"type of a host":            {table + "host = true", "pyproject.toml:2:1: tool.kubectl-pyflow.host: is a boolean and must be a string: put it in quotes, or an array of strings"},
		"a host without a Service":  {table + "expose = 'None'\nhost = 'a.b'", "pyproject.toml:3:1: tool.kubectl-pyflow.host: a host needs a Service"},
		"TLS of nothing":            {table + "tls = {}", "pyproject.toml:2:1: tool.kubectl-pyflow.tls: it names neither a secret nor a cluster-issuer"},
		"a near miss in TLS":        {table + "tls = {cluster_issuer = 'a'}", "pyproject.toml:2:8: tool.kubectl-pyflow.tls: cluster_issuer is none of secret and cluster-issuer; did you mean cluster-issuer?"},
		"TLS at a Gateway":          {table + "host = 'a.b'\ntls = 'a'\ngateway = 'b'", "pyproject.toml:4:1: tool.kubectl-pyflow.gateway: tls is for an Ingress: the listener of the Gateway has the certificate"},
		"two ways to a host":        {table + "gateway = 'b'\ningress-class = 'c'", "pyproject.toml:2:1: tool.kubectl-pyflow.gateway: gateway and ingress-class exclude each other"},
		"a class":                   {table + "ingress-class = 'N'", `pyproject.toml:2:1: tool.kubectl-pyflow.ingress-class: "N" is not the name of an IngressClass`},
		"a Gateway":                 {table + "gateway = 'a/b/c'", `pyproject.toml:2:1: tool.kubectl-pyflow.gateway: "a/b/c" is not NAME or NAMESPACE/NAME of a Gateway`},
		"type of a policy":          {table + "network-policy = 'all'", "pyproject.toml:2:1: tool.kubectl-pyflow.network-policy: is a string and must be a boolean, or a table with the key namespaces"},
		"a policy without a name":   {table + "network-policy = {}", "pyproject.toml:2:1: tool.kubectl-pyflow.network-policy: it names no namespaces: write true for a policy without"},
		"a namespace":               {table + "network-policy = {namespaces = ['A']}", `pyproject.toml:2:1: tool.kubectl-pyflow.network-policy: "A" is not the name of a namespace`},
		"clients shut out":          {table + "expose = 'NodePort'\nnetwork-policy = {namespaces = ['a']}", "pyproject.toml:3:1: tool.kubectl-pyflow.network-policy: network-policy lets in some namespaces only, and expose NodePort"},
		"an open quote":             {table + `test = "pytest -k 'slow"`, "pyproject.toml:2:1: tool.kubectl-pyflow.test: a quote is not closed"},
		"no command":                {table + `test = " # later"`, "pyproject.toml:2:1: tool.kubectl-pyflow.test: it has no command"},
		"a variable's name":         {table + "env.1A = 'x'", "pyproject.toml:2:5: tool.kubectl-pyflow.env.1A: this is not the name of a variable: a valid environment variable name must"},
		"no name":                   {table + "env.'' = 'x'", `pyproject.toml:2:5: tool.kubectl-pyflow.env."": this is not the name of a variable`},
		"a port twice":              {table + "port = 8000\nenv.PORT = '8001'", "pyproject.toml:3:5: tool.kubectl-pyflow.env.PORT: the app gets PORT from the setting port: set port instead"},
		"a port as variable":        {table + "env.PORT = '0'", "pyproject.toml:2:5: tool.kubectl-pyflow.env.PORT: the app gets PORT from the setting port"},
		"a zero byte":               {table + `env.A = "\u0000"`, "pyproject.toml:2:5: tool.kubectl-pyflow.env.A: the value has a character U+0000"},
		"a resource":                {table + "resources.requests.cpus = '1'", `pyproject.toml:2:20: tool.kubectl-pyflow.resources.requests.cpus: "cpus" is not a resource`},
		"a quantity":                {table + "resources.requests.memory = '1GB'", `pyproject.toml:2:20: tool.kubectl-pyflow.resources.requests.memory: memory "1GB" is not a quantity, such as 2Gi`},
		"above a limit":             {table + "resources = { limits = { cpu = '1' }, requests = { cpu = '1001m' } }", "pyproject.toml:2:52: tool.kubectl-pyflow.resources.requests.cpu: cpu is requested 1001m, more than its limit of 1"},
		"half a device":             {table + "resources.requests.'nvidia.com/gpu' = '1'", `pyproject.toml:2:20: tool.kubectl-pyflow.resources.requests."nvidia.com/gpu": nvidia.com/gpu cannot be shared`},
		"a probe":                   {table + "probes.liveness = 'livez'", `pyproject.toml:2:8: tool.kubectl-pyflow.probes.liveness: "livez" is not tcp, none, or a path that starts with /`},
		"a file outside":            {table + "build.dockerfile = '../Dockerfile'", `pyproject.toml:2:7: tool.kubectl-pyflow.build.dockerfile: "../Dockerfile" is not a file inside the directory`},
		"an absolute file":          {table + "build.dockerfile = '/Dockerfile'", `pyproject.toml:2:7: tool.kubectl-pyflow.build.dockerfile: "/Dockerfile" is not a file inside the directory`},
		"no file":                   {table + "build.dockerfile = '.'", `pyproject.toml:2:7: tool.kubectl-pyflow.build.dockerfile: "." is not a file inside the directory`},
		"no stage":                  {table + "build.target = ' '", "pyproject.toml:2:7: tool.kubectl-pyflow.build.target: it names no stage"},
		"a variant":                 {table + "build.variant = 'Slim'", `pyproject.toml:2:7: tool.kubectl-pyflow.build.variant: "Slim" is not one of bloated, slim, distroless; did you mean slim?`},
		"an argument":               {table + "build.args.A-B = 'x'", `pyproject.toml:2:12: tool.kubectl-pyflow.build.args.A-B: "A-B" is not the name of an argument`},
		"a zero byte again":         {table + `build.args.A = "\u0000"`, "pyproject.toml:2:12: tool.kubectl-pyflow.build.args.A: the value has a character U+0000"},
		"no CPU":                    {table + "build.cpu = '0'", `pyproject.toml:2:7: tool.kubectl-pyflow.build.cpu: "0" is not a positive quantity, such as "500m"`},
		"no quantity":               {table + "build.storage = '10 GB'", `pyproject.toml:2:7: tool.kubectl-pyflow.build.storage: "10 GB" is not a positive quantity, such as "10Gi"`},
		"a label":                   {table + "build.node-selector = { 'a b' = '' }", `pyproject.toml:2:25: tool.kubectl-pyflow.build.node-selector."a b": this is not the name of a label: name part must`},
		"a label's value":           {table + "build.node-selector = { a = 'b c' }", `pyproject.toml:2:25: tool.kubectl-pyflow.build.node-selector.a: "b c" cannot be the value of a label: a valid label must`},
		"on Windows":                {"# a\r\n[tool.kubectl-pyflow]\r\nport = 0\r\n", "pyproject.toml:3:1: tool.kubectl-pyflow.port: 0 is not a port"},
		"after a mark":              {"\ufefftool.kubectl-pyflow.port = 0", "pyproject.toml:1:21: tool.kubectl-pyflow.port: 0 is not a port"},
		"after other letters":       {`tool = { "ö" = "ö", kubectl-pyflow = { port = 0 } }`, "pyproject.toml:1:40: tool.kubectl-pyflow.port: 0 is not a port"},
	} {
		t.Run(name, func(t *testing.T) {
			tableValue, err := settings.Parse([]byte(test.content))
			if err == nil || !strings.HasPrefix(err.Error(), test.want) || tableValue != nil {
				t.Fatalf("got %v, %v, want %q", tableValue, err, test.want)
			}
			var failure *toml.Error
			if !errors.As(err, &failure) || failure.Line == 0 || failure.Column == 0 {
				t.Errorf("%#v has no place", err)
			}
		})
	}
}

// The error names all mistakes at once, from the top down.
func TestParseReportsAllMistakes(t *testing.T) {
	_, err := settings.Parse([]byte(`[tool.kubectl-pyflow.build]
cpu = "none"
variant = "fat"
[tool.kubectl-pyflow]
port = "80"
env = { A = 1, PORT = "9", B = 2.5 }
name = "-"
[tool.kubectl-pyflow.resources.requests]
cpu = "2"
memory = 1
[tool.kubectl-pyflow.resources.limits]
cpu = "1"
`))
	if err == nil {
		t.Fatal("no error")
	}
	want := `pyproject.toml:2:1: tool.kubectl-pyflow.build.cpu: "none" is not a positive quantity, such as "500m"
pyproject.toml:3:1: tool.kubectl-pyflow.build.variant: "fat" is not one of bloated, slim, distroless
pyproject.toml:5:1: tool.kubectl-pyflow.port: is a string and must be an integer
pyproject.toml:6:9: tool.kubectl-pyflow.env.A: is an integer and must be a string: put it in quotes, or a table with the key secret or config-map
pyproject.toml:6:28: tool.kubectl-pyflow.env.B: is a number with a point and must be a string: put it in quotes, or a table with the key secret or config-map
pyproject.toml:7:1: tool.kubectl-pyflow.name: "-" cannot be the name of an app: it does not start with a lower case letter
pyproject.toml:9:1: tool.kubectl-pyflow.resources.requests.cpu: cpu is requested 2, more than its limit of 1
pyproject.toml:10:1: tool.kubectl-pyflow.resources.requests.memory: is an integer and must be a string: put it in quotes`
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Error(diff)
	}
}

// Neither the message nor the line of an error may contain a secret.
func TestParseKeepsSecrets(t *testing.T) {
	for name, content := range map[string]string{
		"an integer":        "[tool.kubectl-pyflow.env]\nTOKEN = 5318008\n",
		"too large":         "[tool.kubectl-pyflow.env]\nTOKEN = 53180085318008531800853180085318008\n",
		"too large inside":  "tool.kubectl-pyflow = {env = {TOKEN = 53180085318008531800853180085318008}}\n",
		"not closed":        "[tool.kubectl-pyflow.env]\nTOKEN = \"5318008\n",
		"no quotes":         "[tool.kubectl-pyflow.env]\nTOKEN = a5318008\n",
		"nothing else":      "[tool.kubectl-pyflow.env]\nTOKEN = \"a\" 5318008\n",
		"twice":             "[tool.kubectl-pyflow.env]\nTOKEN = \"5318008\"\nTOKEN = \"5318008\"\n",
		"beside it":         "[tool.kubectl-pyflow]\nnam.e = {}\nx = {env = {A = \"5318008\"}}\nenv = {A = \"5318008\", \"b c\" = \"5318008\"}\n",
		"the port":          "[tool.kubectl-pyflow]\nport = 1\nenv.PORT = \"5318008\"\n",
		"a zero byte":       "[tool.kubectl-pyflow.env]\nTOKEN = \"5318008\\u0000\"\n",
		"a Secret's name":   "[tool.kubectl-pyflow.env]\nTOKEN = {secret = \"5318008 \"}\n",
		"a key":             "[tool.kubectl-pyflow.env]\nTOKEN = {secret = \"a\", key = \"5318008 \"}\n",
		"no table":          "[tool.kubectl-pyflow]\nenv-from = [5318008]\n",
		"a build's":         "[tool.kubectl-pyflow.build.args]\nTOKEN = 5318008\n",
		"a build's, and so": "[tool.kubectl-pyflow.build.args]\nTO-KEN = \"5318008\"\n",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := settings.Parse([]byte(content))
			if err == nil {
				t.Fatal("no error")
			}
			errs := []error{err}
			if joined, ok := err.(interface{ Unwrap() []error }); ok {
				errs = joined.Unwrap()
			}
			for _, err := range errs {
				var failure *toml.Error
				if !errors.As(err, &failure) {
					t.Fatalf("%#v has no place", err)
				}
				if strings.Contains(err.Error()+failure.Text, "5318008") {
					t.Errorf("%q at %q", err, failure.Text)
				}
			}
		})
	}
}

func TestParseShowsTheLine(t *testing.T) {
	_, err := settings.Parse([]byte("[tool.kubectl-pyflow]\r\n  port = 0\r\n"))
	var failure *toml.Error
	if !errors.As(err, &failure) || failure.Text != "  port = 0" || failure.Line != 2 || failure.Column != 3 || failure.Path != "pyproject.toml" {
		t.Errorf("got %#v", failure)
	}
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	if got, err := settings.Read(dir); err != nil || diff(got, &settings.Settings{}) != "" {
		t.Errorf("without a file: %v, %v", got, err)
	}
	if err := os.WriteFile(filepath.Join(dir, settings.File), []byte(everything), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := settings.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := diff(got, all()); diff != "" {
		t.Error(diff)
	}
	if err := os.WriteFile(filepath.Join(dir, settings.File), []byte("[tool.kubectl-pyflow]\nname = 1"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := settings.Read(dir); err == nil || got != nil || !strings.HasPrefix(err.Error(), "pyproject.toml:2:1: tool.kubectl-pyflow.name: ") {
		t.Errorf("got %v, %v", got, err)
	}
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "sub", settings.File), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := settings.Read(filepath.Join(dir, "sub")); err == nil || !strings.Contains(err.Error(), "read the settings: ") {
		t.Errorf("of a directory: %v", err)
	}
}

func TestWhere(t *testing.T) {
	table, err := settings.Parse([]byte("[tool.kubectl-pyflow]\n\nbuild.cpu = '1'\nenv = {\"a.b\" = ''}\n[tool.kubectl-pyflow.probes]\n"))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"build": "pyproject.toml:3", "build.cpu": "pyproject.toml:3", `env."a.b"`: "pyproject.toml:4", "probes": "pyproject.toml:5",
		"name": "", "cpu": "", "build.memory": "", "entrypoint": "",
	} {
		if got := table.Where(key); got != want {
			t.Errorf("%s: got %q, want %q", key, got, want)
		}
	}
	if table, err = settings.Parse([]byte("[tool.kubectl-pyflow]\napp = 'main:app'\n")); err != nil || table.Where("entrypoint") != "pyproject.toml:2" {
		t.Errorf("the former name is at %q, %v", table.Where("entrypoint"), err)
	}
	if got := (&settings.Settings{}).Where("name"); got != "" {
		t.Errorf("of nothing: %q", got)
	}
}

// Another tool also writes [tool.pyflow], which this plugin ignores.
func TestWarnings(t *testing.T) {
	const want = "[tool.pyflow] in pyproject.toml is not read: rename it to [tool.kubectl-pyflow]"
	for content, warns := range map[string]bool{
		"":                false,
		"[tool.pyflow]\n": false,
		"[tool.pyflow]\napp = 'main:app'\nport = 8000\n":                         true,
		"[tool.pyflow]\nentrypoint = 'main:app'\n":                               true,
		"[tool.pyflow.build]\nvariant = 'slim'\n":                                true,
		"[tool.pyflow]\nname = 'shop'\npy_version = '3.13'\nversion = '0.1.0'\n": false,
		"[tool.pyflow.dependencies]\n[tool.pyflow.scripts]\n":                    false,
		"tool.pyflow = 1\n": false,
		"[tool.kubectl-pyflow]\n[tool.pyflow]\nport = 1\n": false,
	} {
		table, err := settings.Parse([]byte(content))
		if err != nil {
			t.Errorf("%q: %v", content, err)
			continue
		}
		if got := strings.Join(table.Warnings(), "\n"); (got == want) != warns || !warns && got != "" {
			t.Errorf("%q: warnings %q, want one: %t", content, got, warns)
		}
	}
}

func TestCheckManifests(t *testing.T) {
	table, err := settings.Parse([]byte("[tool.kubectl-pyflow]\nname = 'a'\nport = 80\n[tool.kubectl-pyflow.probes]\n[tool.kubectl-pyflow.build]\ncpu = '1'\n[tool]\nkubectl-pyflow.replicas = 1\n"))
	if err == nil {
		t.Fatalf("a table may be added to: %v", table)
	}
	if table, err = settings.Parse([]byte("[tool.kubectl-pyflow]\nname = 'a'\nport = 80\nreplicas = 1\n[tool.kubectl-pyflow.probes]\n[tool.kubectl-pyflow.build]\ncpu = '1'\n")); err != nil {
		t.Fatal(err)
	}
	want := `pyproject.toml:4:1: tool.kubectl-pyflow.replicas has no effect on manifests of your own: set it in k8s, and remove it here
pyproject.toml:5:22: tool.kubectl-pyflow.probes has no effect on manifests of your own: set it in k8s, and remove it here`
	if err := table.CheckManifests("k8s"); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if table, err = settings.Parse([]byte("[tool.kubectl-pyflow]\nname = 'a'\nport = 80\n")); err != nil {
		t.Fatal(err)
	}
	if err := table.CheckManifests("k8s"); err != nil {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(everything))
	for _, content := range []string{
		"[[tool.kubectl-pyflow]]\n[tool.kubectl-pyflow.env]\nA='b'", "tool.kubectl-pyflow={}\ntool.kubectl-pyflow.a=1", "\ufeff[tool.kubectl-pyflow]\r\nport=[1,[{a=1}]]",
		"[tool]\nkubectl-pyflow.env.A=2026-01-01T00:00:00Z", "[tool.kubectl-pyflow]\ntest=\"'\"\nname=\"\\u0000\"", "tool=[{kubectl-pyflow=1}]\n", "a=1\na=2\n[",
	} {
		f.Add([]byte(content))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		table, err := settings.Parse(content)
		if (table == nil) != (err != nil) {
			t.Fatalf("%v, %v", table, err)
		}
		if err == nil {
			return
		}
		errs := []error{err}
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			errs = joined.Unwrap()
		}
		for _, err := range errs {
			var failure *toml.Error
			if !errors.As(err, &failure) || failure.Line == 0 || failure.Column == 0 {
				t.Errorf("%#v has no place", err)
			}
		}
	})
}
