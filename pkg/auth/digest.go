package auth

import (
	"crypto"
	_ "crypto/md5" // each makes its hashes known to crypto
	_ "crypto/sha1"
	_ "crypto/sha256"
	_ "crypto/sha3"
	_ "crypto/sha512"
	"encoding/base64"
	"fmt"
	"strings"
)

// Digest returns the id of the scheme digest for "user:password": the user and the base64 of the hash of the whole.
func Digest(hash crypto.Hash, credential string) string {
	if hash == 0 {
		hash = crypto.SHA1
	}
	h := hash.New()
	h.Write([]byte(credential))
	user, _, _ := strings.Cut(credential, ":")
	return user + ":" + base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// ParseHash reads the name of a hash as Java's security providers spell it, with or without its dashes.
func ParseHash(name string) (crypto.Hash, error) {
	bare := func(s string) string { return strings.ReplaceAll(strings.ToUpper(s), "-", "") }
	for _, h := range []crypto.Hash{
		crypto.SHA1, crypto.SHA224, crypto.SHA256, crypto.SHA384, crypto.SHA512, crypto.SHA512_224, crypto.SHA512_256,
		crypto.SHA3_224, crypto.SHA3_256, crypto.SHA3_384, crypto.SHA3_512, crypto.MD5,
	} {
		if bare(name) == bare(h.String()) {
			return h, nil
		}
	}
	if strings.EqualFold(name, "SHA") {
		return crypto.SHA1, nil
	}
	return 0, fmt.Errorf("%q is none of SHA1, SHA-224, SHA-256, SHA-384, SHA-512, SHA-512/224, SHA-512/256, SHA3-224, SHA3-256, "+
		"SHA3-384, SHA3-512 and MD5", name)
}
