package secrets

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"syscall"

	"github.com/croft-sh/croft/stacks"
)

// deliveredFile remembers, beside the secrets and in memory like them, a keyed
// fingerprint of each file that was delivered. Without the key nobody can write
// one that fits, and with the tmpfs it goes away as they do.
const deliveredFile = ".delivered"

// Undelivered gives what is wrong with the files of the grants, by path. It
// decrypts nothing but the key of the fingerprints, so it can be asked often:
// files made of templates cost more to fill than a plan may take.
func (k *Keeper) Undelivered(grants []stacks.Grant) (map[string]stacks.Undelivered, error) {
	out := map[string]stacks.Undelivered{}
	t, err := k.look()
	if errors.Is(err, fs.ErrNotExist) {
		for _, g := range grants {
			out[g.Path] = stacks.SecretGone
		}
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	defer t.root.Close()
	prints, err := t.prints()
	if err != nil {
		return nil, err
	}
	var key stacks.Secret
	if len(prints) > 0 {
		s, err := Open(k.File, k.HostKey, k.Write)
		if err != nil {
			return nil, err
		}
		key, _ = s.Get(fingerprintKey)
	}
	for _, g := range grants {
		rel, err := k.relative(g.Path)
		if err != nil {
			return nil, err
		}
		if how := t.check(g, rel, prints[rel], key); how != "" {
			out[g.Path] = how
		}
	}
	return out, nil
}

// check looks at one file. Without a fingerprint of it, only at what protects it.
func (t *target) check(g stacks.Grant, rel, print string, key stacks.Secret) stacks.Undelivered {
	info, err := t.root.Lstat(rel)
	if errors.Is(err, fs.ErrNotExist) {
		return stacks.SecretGone
	}
	if err != nil || !info.Mode().IsRegular() {
		return stacks.SecretChanged
	}
	if print != "" && !key.IsZero() {
		now, err := t.root.ReadFile(rel)
		if err != nil || fingerprint(key, rel, now) != print {
			return stacks.SecretChanged
		}
	}
	uid, gid, mode := t.protection(g)
	if have := info.Mode().Perm(); have != mode {
		return stacks.Undelivered(fmt.Sprintf("it has mode %04o, not %04o", have, mode))
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if ok && uid >= 0 && (int(st.Uid) != uid || int(st.Gid) != gid) {
		return stacks.Undelivered(fmt.Sprintf("it belongs to %d:%d, not to %d:%d", st.Uid, st.Gid, uid, gid))
	}
	return ""
}

// fingerprint is of a whole file in its place.
func fingerprint(key stacks.Secret, rel string, content []byte) string {
	return hex.EncodeToString(keyed(key, "delivered", rel, string(content))[:16])
}

// prints gives what deliveredFile remembers. One that cannot be read remembers
// nothing: the files are then looked at from outside only.
func (t *target) prints() (map[string]string, error) {
	out := map[string]string{}
	raw, err := t.root.ReadFile(deliveredFile)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	if json.Unmarshal(raw, &out) != nil {
		return map[string]string{}, nil
	}
	return out, nil
}

// remember writes the fingerprints of a delivery, those of other stacks stay. It
// goes before the files: killed in between, what is there counts as changed, and
// the next delivery puts it right.
func (t *target) remember(all []delivery, key stacks.Secret) error {
	if key.IsZero() {
		return nil // made by the first Ensure; without it a fingerprint protects nothing
	}
	before, err := t.prints()
	if err != nil {
		return err
	}
	now := map[string]string{}
	delivered := map[string]bool{}
	for _, d := range all {
		delivered[firstOf(d.rel)] = true
		now[d.rel] = fingerprint(key, d.rel, d.content)
	}
	for rel, print := range before {
		if !delivered[firstOf(rel)] {
			now[rel] = print
		}
	}
	if maps.Equal(before, now) {
		return nil
	}
	raw, err := json.Marshal(now)
	if err != nil {
		return err
	}
	return t.write(deliveredFile, raw, -1, -1, 0o600)
}
