import { json } from './common-files.ts'
import { template } from './template.ts'
import type { ScaffoldFiles, ScaffoldOptions } from './scaffold-options.ts'

/** A plugin in TypeScript. */
export function typescriptFiles({ name, slot, dependency }: ScaffoldOptions): ScaffoldFiles {
  return {
    'package.json': json({
      ...{ name, version: '0.1.0', private: true, type: 'module', license: 'Apache-2.0' },
      engines: { node: '^20.19.0 || ^22.13.0 || >=24.0.0' },
      scripts: {
        dev: 'sftpgo-ts plugin dev .',
        types: 'tsc --noEmit',
        lint: 'sftpgo-ts plugin lint .',
        test: 'vitest run && sftpgo-ts plugin test .',
        pack: 'sftpgo-ts plugin pack .',
      },
      devDependencies: {
        '@types/node': '^20.19.0',
        esbuild: '^0.28.2',
        'sftpgo-ts': dependency,
        typescript: '>=5.9 <8',
        vitest: '4.1.12',
      },
      // Nothing here needs to run a script while it is installed.
      allowScripts: {
        esbuild: false,
        koffi: false,
        protobufjs: false,
        ssh2: false,
        'cpu-features': false,
        libsql: false,
      },
    }),
    'tsconfig.json': json({
      compilerOptions: {
        ...{ target: 'es2023', module: 'nodenext', strict: true, noEmit: true, skipLibCheck: true },
        ...{ noUncheckedIndexedAccess: true, verbatimModuleSyntax: true, allowImportingTsExtensions: true },
        ...{ resolveJsonModule: true, types: ['node'] },
      },
      include: ['src', 'test'],
    }),
    '.gitignore': 'node_modules/\ndist/\n',
    'src/plugin.ts': template(`${slot}-plugin.txt`),
    'test/plugin.test.ts': template(`${slot}-test.txt`),
  }
}
