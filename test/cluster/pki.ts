// Certificates of the bundled Kubernetes: one authority, one certificate for each component, one key pair for service account tokens, and
// the kubeconfigs that use them. Made by openssl, short-lived keys on the elliptic curve P-256. What exists is kept, so that a second run
// changes nothing; it does not renew.

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { exists } from './cache.ts';
import { ClusterError, run } from './command.ts';

const validityDays = '3650';
/** Replaces the machine's openssl.cnf, whose default extensions would contradict those asked for here. */
const configuration = '[req]\ndistinguished_name = subject\n[subject]\n';
const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'] as const;

export interface CertificateRequest {
  readonly name: string;
  readonly commonName: string;
  readonly organization?: string;
  /** Subject alternative names in openssl's form, for example `IP:127.0.0.1`. */
  readonly alternativeNames?: readonly string[];
}

export class Authority {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  get certificate(): string {
    return join(this.directory, 'ca.crt');
  }

  get key(): string {
    return join(this.directory, 'ca.key');
  }

  /** Opens the authority in the directory, which must exist; makes one when there is none. */
  static async open(directory: string): Promise<Authority> {
    const authority = new Authority(directory);
    await unlessPresent(authority.certificate, async () => {
      // The certificate is written last: an authority that was interrupted in the making is made anew.
      await writeFile(join(directory, 'openssl.cnf'), configuration);
      await openssl([
        'req',
        '-x509',
        '-config',
        join(directory, 'openssl.cnf'),
        ...curve,
        '-days',
        validityDays,
        '-subj',
        '/CN=controlcluster-bundled',
        '-addext',
        'basicConstraints=critical,CA:TRUE',
        '-keyout',
        authority.key,
        '-out',
        authority.certificate,
      ]);
    });
    await unlessPresent(join(directory, 'sa.pub'), async () => {
      const key = join(directory, 'sa.key');
      await openssl(['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', key]);
      await openssl(['pkey', '-in', key, '-pubout', '-out', join(directory, 'sa.pub')]);
    });
    return authority;
  }

  /** Issues the certificate `<name>.crt` with key `<name>.key`, unless it exists. Returns their paths. */
  async issue(request: CertificateRequest): Promise<{ certificate: string; key: string }> {
    const paths = { certificate: join(this.directory, `${request.name}.crt`), key: join(this.directory, `${request.name}.key`) };
    await unlessPresent(paths.certificate, async () => {
      const subject = `${request.organization === undefined ? '' : `/O=${request.organization}`}/CN=${request.commonName}`;
      const names = (request.alternativeNames ?? ['DNS:localhost']).join(',');
      await openssl([
        ...[
          'req',
          '-x509',
          '-config',
          join(this.directory, 'openssl.cnf'),
          '-CA',
          this.certificate,
          '-CAkey',
          this.key,
          ...curve,
          '-days',
          validityDays,
          '-subj',
          subject,
        ],
        ...['-addext', `subjectAltName=${names}`, '-addext', 'basicConstraints=critical,CA:FALSE'],
        ...['-keyout', paths.key, '-out', paths.certificate],
      ]);
    });
    return paths;
  }

  /** Writes a kubeconfig that carries its certificates in itself and is readable by its owner only. */
  async writeKubeconfig(path: string, server: string, request: CertificateRequest): Promise<void> {
    const { certificate, key } = await this.issue(request);
    const [authority, client, secret] = await Promise.all(
      [this.certificate, certificate, key].map(async (file) => readFile(file, 'base64')),
    );
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'controlcluster', cluster: { server, 'certificate-authority-data': authority } }],
      users: [{ name: request.name, user: { 'client-certificate-data': client, 'client-key-data': secret } }],
      contexts: [{ name: 'controlcluster', context: { cluster: 'controlcluster', user: request.name } }],
      'current-context': 'controlcluster',
    };
    await writeFile(path, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 });
  }
}

async function openssl(args: readonly string[]): Promise<void> {
  await run('openssl', args).catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ClusterError(
      `openssl (3.0 or later; on Debian and Ubuntu: apt-get install openssl) could not make a certificate. ${reason}`,
      error,
    );
  });
}

async function unlessPresent(path: string, make: () => Promise<void>): Promise<void> {
  if (!(await exists(path))) await make();
}
