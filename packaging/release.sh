#!/usr/bin/env bash
# Builds all files of a release into dist/: archives for each system, packages,
# SBOMs, the Helm chart, the npm package, the Homebrew formula and checksums. It
# publishes nothing; .github/workflows/release.yml does that with what is in dist/.
#
#   packaging/release.sh           # the version is that of HEAD's tag, v1.2.3
#   packaging/release.sh v0.0.0    # a trial: of a clone with that tag
#
# ONLY="linux/amd64" builds for one system, SKIP="npm sbom" leaves parts out.
# It needs Go, and for the parts that are not left out node, zip.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ $# -gt 0 ] && [ "${RELEASE_TRIAL:-}" = "" ]; then
	tag=$1
	trial=$(mktemp -d)
	trap 'rm -rf "$trial"' EXIT
	git clone -q --no-hardlinks . "$trial/clone"
	git -C "$trial/clone" tag "$tag"
	(cd "$trial/clone" && RELEASE_TRIAL=1 packaging/release.sh "$tag")
	rm -rf dist
	mv "$trial/clone/dist" dist
	exit
fi

tag=$(git describe --tags --exact-match HEAD)
version=${tag#v}
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]] || { echo "release: tag $tag: want v1.2.3 or v1.2.3-rc.1" >&2; exit 1; }
[ -z "$(git status --porcelain)" ] || { echo "release: the tree is not clean" >&2; exit 1; }
epoch=$(git log -1 --format=%ct)
skip() { [[ " ${SKIP:-} " == *" $1 "* ]]; }
platforms=${ONLY:-linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64}
commands="sidecar agent injector demo"
rm -rf dist
mkdir -p dist

for platform in $platforms; do
	os=${platform%/*} arch=${platform#*/}
	name=wsresilience_${version}_${os}_$arch
	dir=dist/build/$name
	echo "== $name"
	mkdir -p "$dir"
	for c in $commands; do
		CGO_ENABLED=0 GOOS=$os GOARCH=$arch GOFLAGS=-buildvcs=true \
			go build -trimpath -ldflags "-s -w -buildid=" -o "$dir/" "./cmd/wsresilience-$c"
	done
	for f in "$dir"/wsresilience-*; do
		built=$(go version -m "$f" | awk '$1 == "mod" { print $3 }')
		[ "$built" = "$tag" ] || { echo "release: $f is of version $built, and the tag is $tag" >&2; exit 1; }
	done
	cp LICENSE README.md CHANGELOG.md "$dir/"
	find "$dir" -exec touch -d "@$epoch" {} +
	if [ "$os" = windows ]; then
		(cd dist/build && zip -qX -r "../$name.zip" "$name")
	else
		tar -C dist/build --sort=name --owner=0 --group=0 --numeric-owner -cf - "$name" | gzip -n > "dist/$name.tar.gz"
	fi
	if [ "$os" = linux ]; then
		for format in deb rpm apk; do
			ARCH=$arch VERSION=$version BIN=$dir SOURCE_DATE_EPOCH=$epoch \
				go tool -modfile=packaging/tools/go.mod nfpm package --config packaging/nfpm.yaml --packager $format --target dist/ > /dev/null
		done
	fi
	if ! skip sbom; then
		for c in $commands; do
			f=$dir/wsresilience-$c
			[ -e "$f" ] || f=$f.exe
			go run github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0 bin -json -std -version "$tag" -output "dist/${name}_$c.cdx.json" "$f"
		done
	fi
done

if ! skip chart; then
	go tool -modfile=tools/go.mod helm package charts/wsresilience --version "$version" --app-version "$version" --destination dist > /dev/null
fi
if ! skip npm; then
	(cd sdk/js && npm ci --silent && npm version --no-git-tag-version --allow-same-version "$version" > /dev/null && npm run --silent build && npm pack --silent --pack-destination ../../dist > /dev/null)
	git checkout -q -- sdk/js
fi

cd dist
sum() { sha256sum "$1" | cut -d' ' -f1; }
if [ -e "wsresilience_${version}_darwin_arm64.tar.gz" ] && [ -e "wsresilience_${version}_linux_arm64.tar.gz" ]; then
	sed -e "s/@VERSION@/$version/g" \
		-e "s/@DARWIN_AMD64@/$(sum "wsresilience_${version}_darwin_amd64.tar.gz")/" -e "s/@DARWIN_ARM64@/$(sum "wsresilience_${version}_darwin_arm64.tar.gz")/" \
		-e "s/@LINUX_AMD64@/$(sum "wsresilience_${version}_linux_amd64.tar.gz")/" -e "s/@LINUX_ARM64@/$(sum "wsresilience_${version}_linux_arm64.tar.gz")/" \
		../packaging/wsresilience.rb.in > wsresilience.rb
fi
rm -rf build
find . -maxdepth 1 -type f ! -name checksums.txt -printf '%f\n' | sort | xargs sha256sum > checksums.txt
echo "release: $version, $(wc -l < checksums.txt) files in dist/"
