#!/bin/sh
# repo.sh PACKAGES REPOSITORY: makes signed apt and yum repositories of the packages in a directory. The key is the one of
# GNUPGHOME that REPO_KEY names; without a name a key is made, which lives below PACKAGES and is for tests.
set -eu
packages=$1 repo=$2
tool() { command -v "$1" >/dev/null || { echo "repo.sh: $1 is missing; apt-get install -y $2" >&2 && exit 1; }; }
tool gpg gnupg
tool apt-ftparchive apt-utils
tool createrepo_c createrepo-c
tool rpmsign rpm

if [ -z "${REPO_KEY:-}" ]; then
	REPO_KEY=repository@zabd.invalid
	GNUPGHOME=$(realpath "$packages")/key
	export GNUPGHOME
	if [ ! -d "$GNUPGHOME" ]; then
		mkdir -m 0700 "$GNUPGHOME"
		gpg --batch --quiet --pinentry-mode loopback --passphrase '' --quick-generate-key "zabd repository <$REPO_KEY>" rsa3072 sign never
	fi
fi
sign() { gpg --batch --yes --quiet --local-user "$REPO_KEY" "$@"; }

rm -rf "$repo"
mkdir -p "$repo/apt/pool" "$repo/yum"
gpg --batch --export --armor "$REPO_KEY" >"$repo/zabd.asc"

cp "$packages"/zabd_*.deb "$repo/apt/pool/"
cd "$repo/apt"
for arch in amd64 arm64; do
	mkdir -p "dists/stable/main/binary-$arch"
	apt-ftparchive --arch "$arch" packages pool >"dists/stable/main/binary-$arch/Packages"
	gzip -9nk "dists/stable/main/binary-$arch/Packages"
done
apt-ftparchive -o APT::FTPArchive::Release::Origin=zabd -o APT::FTPArchive::Release::Suite=stable \
	-o APT::FTPArchive::Release::Codename=stable -o APT::FTPArchive::Release::Components=main \
	-o APT::FTPArchive::Release::Architectures="amd64 arm64" release dists/stable >Release
mv Release dists/stable/Release
sign --clearsign --output dists/stable/InRelease dists/stable/Release
sign --armor --detach-sign --output dists/stable/Release.gpg dists/stable/Release
cd - >/dev/null

cp "$packages"/zabd-*.rpm "$repo/yum/"
said=$(rpmsign --define "__gpg $(command -v gpg)" --define "_gpg_name $REPO_KEY" --addsign "$repo"/yum/*.rpm 2>&1) || {
	echo "$said" >&2
	exit 1
}
createrepo_c --quiet "$repo/yum"
sign --armor --detach-sign "$repo/yum/repodata/repomd.xml"
