package scenario

import (
	"os"
	"os/exec"
	"path/filepath"
)

// Helm runs the helm command line (scripts/helm.sh) in a folder, for this world's
// namespace, and returns its output and exit code.
func (w *World) Helm(dir string, args ...string) (stdout, stderr string, code int) {
	w.tb.Helper()
	cmd := exec.CommandContext(w.tb.Context(), filepath.Join(Root(), ".dev", "bin", "helm"), args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "KUBECONFIG="+w.config, "HELM_NAMESPACE="+w.NS,
		"HELM_CACHE_HOME="+w.storage, "HELM_CONFIG_HOME="+w.storage, "HELM_DATA_HOME="+w.storage)
	return w.said(cmd)
}
