# Makes the bucket, and the user of the service, who may do nothing but read and write files there.
# It may run again at any time. It needs MC_HOST_store (of root) and MINIO_PASSWORD (of the user).
set -eu
mc mb --ignore-existing store/atelier-files
mc admin policy create store atelier-files /minio/atelier-files.json
mc admin user add store atelier "$MINIO_PASSWORD"
case "$(mc admin user info --json store atelier)" in
*'"policyName":"atelier-files"'*) ;; # it is an error to attach a policy twice
*) mc admin policy attach store atelier-files --user atelier ;;
esac
