"""The names that the resource, the operator and the runtime's pods share."""

from enum import StrEnum

GROUP = "streamjob.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "StreamJob"
PLURAL = "streamjobs"
SINGULAR = "streamjob"
SHORT_NAME = "stj"
CATEGORY = "streaming"

FIELD_MANAGER = "streamjob-operator"
FINALIZER = f"{GROUP}/drain"
RESTART_ANNOTATION = f"{GROUP}/restart"  # a new value starts a failed or running job again

LABEL_NAME = "app.kubernetes.io/name"
LABEL_INSTANCE = "app.kubernetes.io/instance"
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
LABEL_JOB = f"{GROUP}/job"
LABEL_ROLE = f"{GROUP}/role"
LABEL_ATTEMPT = f"{GROUP}/attempt"
LABEL_REVISION = f"{GROUP}/revision"
RUNTIME_NAME = "streamjob-runtime"  # the value of LABEL_NAME
OPERATOR_NAME = "streamjob-operator"  # the value of LABEL_MANAGED_BY

ROLE_RUNTIME = "runtime"
ROLE_CHECK = "check"
ROLE_CLEANUP = "cleanup"

CONTAINER = "runtime"
PORT_NAME = "http"
PORT = 8080
JOB_MOUNT = "/etc/streamjob/job"
JOB_FILE = "streamjob.yaml"  # the one key of the job's ConfigMap
SECRETS_MOUNT = "/etc/streamjob/secrets"
HADOOP_MOUNT = "/etc/streamjob/hadoop"
HADOOP_CONF_DIR = "HADOOP_CONF_DIR"  # the variable that names the folder with the site files of Hadoop
SCRATCH_MOUNT = "/tmp"  # noqa: S108  a pod's own emptyDir: nobody else writes there
AS_IS = "STREAMJOB_AS_IS"  # the variable that says that a manifest's values hold no variables: they are filled already
TERMINATION_LOG = "/dev/termination-log"
USER = 65532


class Phase(StrEnum):
    """Where a job stands, in one word. For people: programs read the conditions."""

    PENDING = "Pending"
    STARTING = "Starting"
    RUNNING = "Running"
    UPDATING = "Updating"
    RESTARTING = "Restarting"
    SUSPENDING = "Suspending"
    SUSPENDED = "Suspended"
    FAILED = "Failed"
    COMPLETED = "Completed"
    DELETING = "Deleting"


class ConditionType(StrEnum):
    """What the status says of a job, each True, False or Unknown."""

    READY = "Ready"
    PROGRESSING = "Progressing"
    CHECKPOINT_HEALTHY = "CheckpointHealthy"
    SUSPENDED = "Suspended"
    DEGRADED = "Degraded"
    FAILED = "Failed"
    COMPLETE = "Complete"
    RECONCILING = "Reconciling"  # this one and the next are as kstatus reads them: Flux, Helm, kpt
    STALLED = "Stalled"
