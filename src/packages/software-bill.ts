import type { BundledDependency } from './bundle.ts'
import type { PackageManifest } from './package-manifest.ts'

/** What a bill of materials is made from. */
export interface SoftwareBillOptions {
  readonly manifest: PackageManifest
  readonly packages: readonly BundledDependency[]
  readonly tool: string
}

/** What a package is made of, in the form of CycloneDX 1.5. Without time and serial number, so that packing twice gives the same bytes. */
export function softwareBill({ manifest, packages, tool }: SoftwareBillOptions): Buffer {
  const bill = {
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    version: 1,
    metadata: {
      tools: { components: [{ type: 'application', name: 'sftpgo-ts', version: tool }] },
      component: {
        type: 'application',
        'bom-ref': manifest.name,
        name: manifest.name,
        version: manifest.version,
      },
    },
    components: packages.map(({ name, version, license }) => ({
      type: 'library',
      'bom-ref': `pkg:npm/${name.replace('@', '%40')}@${version}`,
      ...{ name, version, purl: `pkg:npm/${name.replace('@', '%40')}@${version}` },
      licenses: [license === 'NOASSERTION' ? { license: { name: license } } : { expression: license }],
    })),
  }
  return Buffer.from(`${JSON.stringify(bill, undefined, 2)}\n`)
}
