// Package nodespec is what the cluster tool tells the node's first process.
package nodespec

// Spec describes the node: what its mount namespace looks like and which
// processes run in it.
type Spec struct {
	// Hostname is the host name that the node's processes see.
	Hostname string `json:"hostname"`
	// Keep lists directories that stay visible under their own path even when
	// a bind covers a parent of theirs.
	Keep []string `json:"keep"`
	// Binds are mounted in order.
	Binds []Bind `json:"binds"`
	// ResolvConf is the file that becomes the node's /etc/resolv.conf.
	ResolvConf string `json:"resolvConf"`
	// LogDir receives one log file per process.
	LogDir string `json:"logDir"`
	// Processes are started at once, each as soon as what it waits for answers.
	Processes []Process `json:"processes"`
}

// Bind is a file or directory that covers another one.
type Bind struct {
	Source string `json:"source"`
	Target string `json:"target"`
}

// Process is a program that is kept running.
type Process struct {
	// Name is argv[0] and the name of the log file.
	Name string `json:"name"`
	// Path is the program.
	Path string `json:"path"`
	// Args are the arguments after the name.
	Args []string `json:"args"`
	// Env is added to the environment, as KEY=value.
	Env []string `json:"env,omitempty"`
	// WaitFor lists the addresses that must accept a connection before the
	// start: host:port, or the path of a unix socket.
	WaitFor []string `json:"waitFor,omitempty"`
}
