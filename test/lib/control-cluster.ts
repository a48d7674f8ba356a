// ControlClusters and sidecar settings for tests, as the API server would deliver them: defaults filled.
import { apiVersion, kind } from '../../common/names.ts';
import { controlClusterSchema } from '../../common/schema.ts';
import type { ControlCluster } from '../../common/schema.ts';
import { defaultSidecarResources } from '../../operator/resources/sidecar-container.ts';
import type { SidecarSettings } from '../../operator/resources/sidecar-container.ts';

/** The smallest valid specification, with `spec` over it. */
export function controlCluster(spec: object = {}, metadata: object = {}): ControlCluster {
  return controlClusterSchema.parse({
    apiVersion,
    kind,
    metadata: { name: 'trading', namespace: 'desk', uid: '6f1c', ...metadata },
    spec: { replication: { nats: { url: 'nats://nats:4222' } }, ...spec },
  });
}

export const sidecarSettings: SidecarSettings = {
  sidecarImage: 'controlcluster/sidecar:test',
  imagePullPolicy: 'IfNotPresent',
  sidecarLogLevel: 'info',
  sidecarResources: defaultSidecarResources,
};

/** A container that keeps the rules of the `restricted` Pod Security Standard. */
export const restrictedContainer = {
  name: 'control',
  image: 'example/control:1',
  securityContext: {
    runAsNonRoot: true,
    runAsUser: 1000,
    allowPrivilegeEscalation: false,
    capabilities: { drop: ['ALL'] },
    seccompProfile: { type: 'RuntimeDefault' },
  },
};
