package track

import (
	"slices"
	"testing"
)

func TestInstalls(t *testing.T) {
	for name, test := range map[string]struct {
		command string
		lines   []string
		shown   []string
		doing   []string
	}{
		"pip": {
			"RUN python -m pip --python /opt/venv/bin/python install -r requirements.txt",
			[]string{
				"Looking in indexes: https://pypi.example.com/simple/",
				"Collecting fastapi==0.115.0 (from -r requirements.txt (line 1))",
				"  Downloading https://pypi.example.com/packages/fastapi-0.115.0-py3-none-any.whl (94 kB)",
				"     ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 94.7/94.7 kB 5.0 MB/s eta 0:00:00",
				"  Preparing metadata (pyproject.toml): started",
				"Requirement already satisfied: click>=8 in /opt/venv/lib/python3.13/site-packages (8.1.7)",
				"Building wheels for collected packages: shop",
				"  Building wheel for shop (pyproject.toml): finished with status 'done'",
				"DEPRECATION: Building 'old' using the legacy setup.py bdist_wheel mechanism",
				"Installing collected packages: shop, fastapi",
				"Successfully installed fastapi-0.115.0 shop-0.1.0",
				"WARNING: Running pip as the 'root' user can result in broken permissions",
				"[notice] A new release of pip is available: 25.0 -> 25.1",
			},
			[]string{"DEPRECATION: Building 'old' using the legacy setup.py bdist_wheel mechanism", "pip: 2 packages installed"},
			[]string{
				"pip: looking up fastapi==0.115.0", "pip: downloading fastapi-0.115.0-py3-none-any.whl (94 kB)", "pip: building shop", "pip: building shop",
				"pip: installing shop, fastapi",
			},
		},
		"uv": {
			"RUN uv sync --frozen",
			[]string{
				"Using CPython 3.13.5 interpreter at: /usr/local/bin/python3", "Creating virtual environment at: .venv", "Resolved 12 packages in 5ms",
				"Downloading pydantic-core (1.9MiB)", " Downloaded pydantic-core", "   Building shop @ file:///app", "      Built shop @ file:///app",
				"Prepared 2 packages in 1.2s", "Installed 1 package in 12ms", " + fastapi==0.115.0", " + shop==0.1.0 (from file:///app)",
				"warning: `VIRTUAL_ENV` does not match",
			},
			[]string{"uv: 1 package installed", "warning: `VIRTUAL_ENV` does not match"},
			[]string{"uv: fetching pydantic-core (1.9MiB)", "uv: fetching shop @ file:///app"},
		},
		"an error": {
			"RUN pip install nosuch",
			[]string{"ERROR: Could not find a version that satisfies the requirement nosuch (from versions: none)", "  error: subprocess-exited-with-error"},
			[]string{"ERROR: Could not find a version that satisfies the requirement nosuch (from versions: none)", "  error: subprocess-exited-with-error"},
			nil,
		},
		"another program": {
			"RUN python manage.py collectstatic && ./pipeline.sh",
			[]string{"Collecting static files", "Installed 3 packages in a row"},
			[]string{"Collecting static files", "Installed 3 packages in a row"},
			nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			folds := newInstalls(test.command)
			var shown, doing []string
			for _, line := range test.lines {
				hide, activity, sum := folds.read(line)
				if sum != "" {
					shown = append(shown, sum)
				}
				if !hide {
					shown = append(shown, line)
				}
				if activity != "" {
					doing = append(doing, activity)
				}
			}
			if !slices.Equal(shown, test.shown) {
				t.Errorf("shown are %q, want %q", shown, test.shown)
			}
			if !slices.Equal(doing, test.doing) {
				t.Errorf("doing is %q, want %q", doing, test.doing)
			}
		})
	}
}
