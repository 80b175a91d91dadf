// Cameras with certificates.
import { all } from './list';

/** An entry of ListCameras of docs/administration.md; times are seconds since the Unix epoch. */
export interface CameraInfo {
  ThingName: string;
  Status: 'Active' | 'Inactive';
  Policies: string[] | null;
  CertificateAuthority: string;
  Certificates: { SerialNumber: string; NotAfter: number; AcceptedUntil: number | null }[] | null;
}

/** All cameras, as far as a page shows them. */
export function listCameras(abort: AbortSignal): Promise<CameraInfo[]> {
  return all<CameraInfo>('ListCameras', 'CameraInfoList', {}, abort);
}
