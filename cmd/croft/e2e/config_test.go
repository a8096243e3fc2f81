//go:build e2e

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
)

// TestGeneratedConfigurationsPassTheirProgramsChecks renders every stack of the
// catalogue alone (with what it needs), every pair, and all of them, and gives
// what comes out to the programs that are to read it.
func TestGeneratedConfigurationsPassTheirProgramsChecks(t *testing.T) {
	p := newPlatform(t, "conf", nil)
	names := p.catalogue(t)
	for _, name := range names {
		p.must(t, "stack", "add", name)
	}
	var sets [][]string
	for i, a := range names {
		sets = append(sets, []string{a})
		for _, b := range names[i+1:] {
			sets = append(sets, []string{a, b})
		}
	}
	sets = append(sets, nil, names)
	check := newChecker(t)
	for _, set := range sets {
		title := strings.Join(set, "+")
		if set == nil {
			title = "nothing"
		}
		t.Run(title, func(t *testing.T) {
			p.writeConfig(t, set...)
			out := filepath.Join(p.root, "out", title)
			p.must(t, "validate")
			p.must(t, "render", "--out", out)
			check.tree(t, out)
		})
	}
	t.Logf("checked: %v", check.count)
	for _, kind := range []string{"prometheus", "rules", "alertmanager", "blackbox", "authelia schema", "authelia itself", "traefik"} {
		if check.count[kind] == 0 {
			t.Errorf("nothing of %s was checked", kind)
		}
	}
}

// catalogue gives the names of the catalogue's stacks.
func (p *platform) catalogue(t *testing.T) []string {
	t.Helper()
	dirs, err := filepath.Glob("../../../stacks/catalog/*")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no catalogue: %v", err)
	}
	var names []string
	for _, d := range dirs {
		names = append(names, filepath.Base(d))
	}
	return names
}

// checker gives files to the programs that read them. What was checked with
// the same content before is not checked again.
type checker struct {
	promtool, amtool, blackbox string
	schema                     *jsonschema.Schema
	seen                       map[string]bool
	count                      map[string]int
}

func newChecker(t *testing.T) *checker {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile("testdata/schemas/authelia-4.39.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return &checker{promtool: farm(t, "promtool"), amtool: farm(t, "amtool"), blackbox: farm(t, "blackbox_exporter"),
		schema: schema, seen: map[string]bool{}, count: map[string]int{}}
}

func (c *checker) once(t *testing.T, kind, dir string, run func()) {
	t.Helper()
	if _, err := os.Stat(dir); err != nil {
		return
	}
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	content := ""
	if info.IsDir() {
		content = relativeHash(t, dir)
	} else {
		content = string(read(t, dir))
	}
	c.count[kind]++
	if key := kind + content; !c.seen[key] {
		c.seen[key] = true
		run()
	}
}

// relativeHash is treeHash whatever the directory is called.
func relativeHash(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		fmt.Fprintf(&b, "%s\n%s\n", strings.TrimPrefix(path, dir), read(t, path))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func (c *checker) tree(t *testing.T, out string) {
	t.Helper()
	prom := filepath.Join(out, "prometheus", "prometheus")
	c.once(t, "prometheus", prom, func() { passes(t, c.promtool, "check", "config", filepath.Join(prom, "prometheus.yml")) })
	rules, err := filepath.Glob(filepath.Join(prom, "rules", "*.yml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range rules {
		c.once(t, "rules", file, func() { passes(t, c.promtool, "check", "rules", "--lint=all", "--lint-fatal", file) })
	}
	alerts := filepath.Join(out, "prometheus", "alertmanager", "alertmanager.yml")
	c.once(t, "alertmanager", alerts, func() { passes(t, c.amtool, "check-config", alerts) })
	probes := filepath.Join(out, "prometheus", "blackbox", "blackbox.yml")
	c.once(t, "blackbox", probes, func() {
		// The authority's certificate is a secret file, which render does not write.
		file := filepath.Join(t.TempDir(), "blackbox.yml")
		ca := filepath.Join(t.TempDir(), "ca.pem")
		writeFile(t, ca, string(someCertificate(t)))
		writeFile(t, file, strings.ReplaceAll(string(read(t, probes)), "/run/secrets/platform_ca", ca))
		passes(t, c.blackbox, "--config.check", "--config.file="+file)
	})
	authelia := filepath.Join(out, "authelia", "config", "configuration.yml")
	c.once(t, "authelia schema", authelia, func() { c.autheliaSchema(t, authelia) })
	c.once(t, "authelia itself", authelia, func() { autheliaValidates(t, filepath.Dir(authelia)) })
	traefik := filepath.Join(out, "traefik", "traefik")
	c.once(t, "traefik", traefik, func() {
		everyYAML(t, traefik)
		traefikStarts(t, traefik)
	})
}

func passes(t *testing.T, program string, args ...string) {
	t.Helper()
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		t.Errorf("%s %s: %v\n%s", filepath.Base(program), strings.Join(args, " "), err, clip(string(out)))
	}
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// autheliaSchema checks with the schema of 4.39, the version the catalogue
// names; the program that runs in tests is older.
func (c *checker) autheliaSchema(t *testing.T, file string) {
	t.Helper()
	var config any
	if err := yaml.Unmarshal(read(t, file), &config); err != nil {
		t.Fatal(err)
	}
	if err := c.schema.Validate(plainJSON(t, config)); err != nil {
		t.Errorf("%s: %v", file, err)
	}
	// A check that takes anything is none.
	broken, _ := config.(map[string]any)
	broken["sessions"] = "misspelt"
	if err := c.schema.Validate(plainJSON(t, broken)); err == nil {
		t.Error("the schema takes a misspelt key")
	}
}

// plainJSON gives a YAML value as the JSON reader would have it.
func plainJSON(t *testing.T, v any) any {
	t.Helper()
	out, err := jsonschema.UnmarshalJSON(strings.NewReader(text(v)))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// autheliaValidates asks the real program, in the image that the stack uses,
// with secrets as the stack gives them.
func autheliaValidates(t *testing.T, config string) {
	t.Helper()
	secrets := t.TempDir()
	args := []string{"run", "--rm", "--network", "none", "-v", config + ":/config:ro", "-v", secrets + ":/run/secrets:ro"}
	for variable, name := range map[string]string{
		"AUTHELIA_SESSION_SECRET_FILE":                                "session_secret",
		"AUTHELIA_STORAGE_ENCRYPTION_KEY_FILE":                        "storage_key",
		"AUTHELIA_IDENTITY_VALIDATION_RESET_PASSWORD_JWT_SECRET_FILE": "reset_secret",
		"AUTHELIA_STORAGE_POSTGRES_PASSWORD_FILE":                     "authelia_postgres",
		"AUTHELIA_SESSION_REDIS_PASSWORD_FILE":                        "authelia_valkey",
	} {
		writeFile(t, filepath.Join(secrets, name), strings.Repeat("x", 64))
		args = append(args, "-e", variable+"=/run/secrets/"+name)
	}
	args = append(args, catalogueImage(t, "authelia", "authelia/authelia:"), "authelia", "validate-config")
	if out, err := exec.Command("docker", args...).CombinedOutput(); err != nil {
		t.Errorf("authelia validate-config: %v\n%s", err, clip(string(out)))
	}
}

// catalogueImage is the reference of an image that a stack of the catalogue names.
func catalogueImage(t *testing.T, stack, repository string) string {
	t.Helper()
	for _, line := range strings.Split(string(read(t, "../../../stacks/catalog/"+stack+"/compose.yaml")), "\n") {
		if image, ok := strings.CutPrefix(strings.TrimSpace(line), "image: "); ok && strings.HasPrefix(image, repository) {
			return image
		}
	}
	t.Fatalf("stack %s of the catalogue has no image %s", stack, repository)
	return ""
}

var metricsAddress = regexp.MustCompile(`"[0-9.]+:8082"`)

// traefikStarts starts the real program with the configuration and no network,
// and reads its log. Only that it cannot reach the socket proxy may be wrong.
func traefikStarts(t *testing.T, config string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "etc"), os.DirFS(config)); err != nil {
		t.Fatal(err)
	}
	static := filepath.Join(dir, "etc", "traefik.yml")
	writeFile(t, static, metricsAddress.ReplaceAllString(string(read(t, static)), `"127.0.0.1:8082"`))
	writeFile(t, filepath.Join(dir, "platform_tls"), string(someCertificate(t)))
	id := strings.TrimSpace(docker(t, "run", "-d", "--network", "none", "-v", filepath.Join(dir, "etc")+":/etc/traefik:ro",
		"-v", filepath.Join(dir, "platform_tls")+":/run/secrets/platform_tls:ro", catalogueImage(t, "traefik", "traefik:")))
	defer docker(t, "rm", "-f", id)
	time.Sleep(2 * time.Second)
	out, err := exec.Command("docker", "logs", id).CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	if state := strings.TrimSpace(docker(t, "inspect", "-f", "{{.State.Status}}", id)); state != "running" {
		t.Errorf("Traefik is %s: %s", state, clip(string(out)))
	}
	if !strings.Contains(string(out), "Traefik version") {
		t.Errorf("this is not Traefik's log: %s", clip(string(out)))
	}
	for _, line := range strings.Split(string(out), "\n") {
		level := strings.Contains(line, `"level":"error"`) || strings.Contains(line, `"level":"warn"`) || strings.Contains(line, `"level":"fatal"`)
		if level && !strings.Contains(line, `"providerName":"docker"`) {
			t.Errorf("Traefik says: %s", line)
		}
	}
}

// someCertificate gives a certificate that signs itself, and its key, as PEM.
func someCertificate(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, DNSNames: []string{"test.localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true}
	cert, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)
}

// everyYAML makes sure that each file is one YAML document without templates
// left over. That Traefik takes them is shown where it runs.
func everyYAML(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if !slices.Contains([]string{".yml", ".yaml"}, filepath.Ext(path)) {
			t.Errorf("%s is no YAML file", path)
		}
		var v any
		raw := read(t, path)
		if err := yaml.Unmarshal(raw, &v); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if strings.Contains(string(raw), "{{") || strings.Contains(string(raw), "<no value>") {
			t.Errorf("%s has a template left over", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
