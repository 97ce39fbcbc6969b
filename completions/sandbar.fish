# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_sandbar_global_optspecs
    string join \n f/file= engine= o/output= events= q/quiet v/verbose y/yes timeout= kubeconfig= h/help V/version
end

function __fish_sandbar_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_sandbar_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_sandbar_using_subcommand
    set -l cmd (__fish_sandbar_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c sandbar -n "__fish_sandbar_needs_command" -s f -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_needs_command" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_needs_command" -s o -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_needs_command" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_needs_command" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_needs_command" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_needs_command" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_needs_command" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_needs_command" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandbar -n "__fish_sandbar_needs_command" -s V -l version -d 'Print version'
complete -c sandbar -n "__fish_sandbar_needs_command" -f -a "init" -d 'Write a cluster file, with a comment for each key'
complete -c sandbar -n "__fish_sandbar_needs_command" -f -a "up" -d 'Make a cluster, start it, or find that nothing is to be done'
complete -c sandbar -n "__fish_sandbar_needs_command" -f -a "stop" -d 'Stop a cluster; its data, ports and context stay'
complete -c sandbar -n "__fish_sandbar_needs_command" -f -a "start" -d 'Start a stopped cluster as it was'
complete -c sandbar -n "__fish_sandbar_needs_command" -f -a "restart" -d 'Stop a cluster and start it again'
complete -c sandbar -n "__fish_sandbar_needs_command" -f -a "pause" -d 'Freeze a cluster: it keeps its memory and takes no CPU time'
complete -c sandbar -n "__fish_sandbar_needs_command" -f -a "unpause" -d 'Let a paused cluster go on'
complete -c sandbar -n "__fish_sandbar_needs_command" -f -a "renew" -d 'Say anew how long a cluster is wanted, before `sandbar gc` removes it'
complete -c sandbar -n "__fish_sandbar_needs_command" -f -a "rm" -d 'Remove clusters with everything of them: container, network, volume, kubeconfig entries'
complete -c sandbar -n "__fish_sandbar_needs_command" -f -a "down" -d 'Remove clusters with everything of them: container, network, volume, kubeconfig entries'
complete -c sandbar -n "__fish_sandbar_needs_command" -f -a "ls" -d 'List clusters'
complete -c sandbar -n "__fish_sandbar_needs_command" -f -a "list" -d 'List clusters'
complete -c sandbar -n "__fish_sandbar_needs_command" -f -a "status" -d 'Show how a cluster is: its components, addresses, warnings'
complete -c sandbar -n "__fish_sandbar_needs_command" -f -a "logs" -d 'Show what the node\'s components say'
complete -c sandbar -n "__fish_sandbar_needs_command" -f -a "report" -d 'Write one archive to show to somebody else: logs, resources, versions'
complete -c sandbar -n "__fish_sandbar_needs_command" -f -a "shell" -d 'Open a shell in the node'
complete -c sandbar -n "__fish_sandbar_needs_command" -f -a "exec" -d 'Run a program in the node; its exit code is this one\'s'
complete -c sandbar -n "__fish_sandbar_needs_command" -f -a "kubectl" -d 'Run kubectl for a cluster: this machine\'s own where its version fits, otherwise the node\'s'
complete -c sandbar -n "__fish_sandbar_needs_command" -f -a "kubeconfig" -d 'Print a cluster\'s kubeconfig, or put it into yours and take it out'
complete -c sandbar -n "__fish_sandbar_needs_command" -f -a "image" -d 'Images in the node'
complete -c sandbar -n "__fish_sandbar_needs_command" -f -a "port" -d 'Ports of this machine that lead into a cluster'
complete -c sandbar -n "__fish_sandbar_needs_command" -f -a "cache" -d 'What was downloaded: node images of releases'
complete -c sandbar -n "__fish_sandbar_needs_command" -f -a "device" -d 'Devices that a cluster\'s machine can play: boards such as a Raspberry Pi, on any laptop'
complete -c sandbar -n "__fish_sandbar_needs_command" -f -a "doctor" -d 'Check whether this machine and its engine are fit for a cluster, by trying'
complete -c sandbar -n "__fish_sandbar_needs_command" -f -a "paths" -d 'Show where Sandbar\'s own files are'
complete -c sandbar -n "__fish_sandbar_needs_command" -f -a "gc" -d 'Remove what nobody wants any more: clusters whose time is over, what interrupted commands left, what has no record here'
complete -c sandbar -n "__fish_sandbar_needs_command" -f -a "completions" -d 'Print the completions of a shell'
complete -c sandbar -n "__fish_sandbar_needs_command" -f -a "schema" -d 'Print the JSON Schema of the cluster file, for editors'
complete -c sandbar -n "__fish_sandbar_needs_command" -f -a "version" -d 'Show the version of this program and of the node contract that it speaks'
complete -c sandbar -n "__fish_sandbar_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c sandbar -n "__fish_sandbar_using_subcommand init" -l name -d 'Name of the cluster' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand init" -l memory -d 'Memory that the node may use' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand init" -s f -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand init" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_using_subcommand init" -s o -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_using_subcommand init" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_using_subcommand init" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand init" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand init" -l force -d 'Replace a file that exists'
complete -c sandbar -n "__fish_sandbar_using_subcommand init" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_using_subcommand init" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand init" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_using_subcommand init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandbar -n "__fish_sandbar_using_subcommand init" -s V -l version -d 'Print version'
complete -c sandbar -n "__fish_sandbar_using_subcommand up" -l device -d 'Device that a machine of QEMU plays: the name of one (`sandbar device ls`), or the path of a profile of your own' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand up" -l emulate-binaries -d 'Let containers of another architecture run, through an emulator in the machine: amd64\'s on arm64, arm64\'s on amd64' -r -f -a "true\t''
false\t''"
complete -c sandbar -n "__fish_sandbar_using_subcommand up" -l node-image -d 'Node image: one in the engine\'s store or in a registry, or an archive [default: the one of this version]' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand up" -l api-port -d 'Port of the API on this machine [default: 6443, or a free one]' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand up" -l http-port -d 'Port of the ingress on this machine [default: 80, or a free one]' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand up" -l https-port -d 'Port of the ingress with TLS on this machine [default: 443, or a free one]' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand up" -s p -l port -d 'A further port: HOST:NODE, or one number for both' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand up" -l listen-address -d 'Address that listens [default: 127.0.0.1]' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand up" -l cpus -d 'CPUs that the node may use, such as 2 or 1.5' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand up" -l memory -d 'Memory that the node may use, such as 2Gi' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand up" -s l -l label -d 'A label of the node' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand up" -l cluster-network -d 'Network of pods [default: 10.42.0.0/16, or one that overlaps nothing]' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand up" -l service-network -d 'Network of services [default: 10.43.0.0/16, or one that overlaps nothing]' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand up" -l config -d 'A configuration drop-in' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand up" -l manifest -d 'A manifest, or a folder with a kustomization.yaml, applied at each start' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand up" -l ttl -d 'How long the cluster is wanted from now on, such as 8h, after which `sandbar gc` removes it; `never` takes that back' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand up" -s f -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand up" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_using_subcommand up" -s o -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_using_subcommand up" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_using_subcommand up" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand up" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand up" -l cold -d 'Start a new machine from nothing, also where the state of one of its kind is kept, and keep none'
complete -c sandbar -n "__fish_sandbar_using_subcommand up" -l recreate -d 'Make the node anew, with other settings or another image; the cluster\'s data stay'
complete -c sandbar -n "__fish_sandbar_using_subcommand up" -l ephemeral -d 'Make a new cluster for one command, and remove it afterwards, whatever happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand up" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_using_subcommand up" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand up" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_using_subcommand up" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandbar -n "__fish_sandbar_using_subcommand up" -s V -l version -d 'Print version'
complete -c sandbar -n "__fish_sandbar_using_subcommand stop" -l grace -d 'How long pods may take to end [default: 1500ms at most]; a machine is shut down then' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand stop" -s f -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand stop" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_using_subcommand stop" -s o -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_using_subcommand stop" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_using_subcommand stop" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand stop" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand stop" -l shutdown -d 'Shut a machine down in place of keeping its state, and drop one that was kept; its next start boots it anew'
complete -c sandbar -n "__fish_sandbar_using_subcommand stop" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_using_subcommand stop" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand stop" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_using_subcommand stop" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandbar -n "__fish_sandbar_using_subcommand stop" -s V -l version -d 'Print version'
complete -c sandbar -n "__fish_sandbar_using_subcommand start" -s f -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand start" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_using_subcommand start" -s o -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_using_subcommand start" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_using_subcommand start" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand start" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand start" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_using_subcommand start" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand start" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_using_subcommand start" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandbar -n "__fish_sandbar_using_subcommand start" -s V -l version -d 'Print version'
complete -c sandbar -n "__fish_sandbar_using_subcommand restart" -s f -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand restart" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_using_subcommand restart" -s o -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_using_subcommand restart" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_using_subcommand restart" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand restart" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand restart" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_using_subcommand restart" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand restart" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_using_subcommand restart" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandbar -n "__fish_sandbar_using_subcommand restart" -s V -l version -d 'Print version'
complete -c sandbar -n "__fish_sandbar_using_subcommand pause" -s f -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand pause" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_using_subcommand pause" -s o -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_using_subcommand pause" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_using_subcommand pause" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand pause" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand pause" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_using_subcommand pause" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand pause" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_using_subcommand pause" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandbar -n "__fish_sandbar_using_subcommand pause" -s V -l version -d 'Print version'
complete -c sandbar -n "__fish_sandbar_using_subcommand unpause" -s f -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand unpause" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_using_subcommand unpause" -s o -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_using_subcommand unpause" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_using_subcommand unpause" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand unpause" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand unpause" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_using_subcommand unpause" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand unpause" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_using_subcommand unpause" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandbar -n "__fish_sandbar_using_subcommand unpause" -s V -l version -d 'Print version'
complete -c sandbar -n "__fish_sandbar_using_subcommand renew" -l ttl -d 'How long it is wanted from now on, such as 8h, or `never` [default: as long as was said last]' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand renew" -s f -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand renew" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_using_subcommand renew" -s o -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_using_subcommand renew" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_using_subcommand renew" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand renew" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand renew" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_using_subcommand renew" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand renew" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_using_subcommand renew" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandbar -n "__fish_sandbar_using_subcommand renew" -s V -l version -d 'Print version'
complete -c sandbar -n "__fish_sandbar_using_subcommand rm" -s f -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand rm" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_using_subcommand rm" -s o -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_using_subcommand rm" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_using_subcommand rm" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand rm" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand rm" -l all -d 'Every cluster and whatever else Sandbar owns on this machine, as `ls --all` shows it'
complete -c sandbar -n "__fish_sandbar_using_subcommand rm" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_using_subcommand rm" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand rm" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_using_subcommand rm" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandbar -n "__fish_sandbar_using_subcommand rm" -s V -l version -d 'Print version'
complete -c sandbar -n "__fish_sandbar_using_subcommand down" -s f -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand down" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_using_subcommand down" -s o -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_using_subcommand down" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_using_subcommand down" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand down" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand down" -l all -d 'Every cluster and whatever else Sandbar owns on this machine, as `ls --all` shows it'
complete -c sandbar -n "__fish_sandbar_using_subcommand down" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_using_subcommand down" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand down" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_using_subcommand down" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandbar -n "__fish_sandbar_using_subcommand down" -s V -l version -d 'Print version'
complete -c sandbar -n "__fish_sandbar_using_subcommand ls" -s f -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand ls" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_using_subcommand ls" -s o -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_using_subcommand ls" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_using_subcommand ls" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand ls" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand ls" -l all -d 'Everything that Sandbar owns on this machine: clusters, what engines have, reports of failures, files put aside'
complete -c sandbar -n "__fish_sandbar_using_subcommand ls" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_using_subcommand ls" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand ls" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_using_subcommand ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandbar -n "__fish_sandbar_using_subcommand ls" -s V -l version -d 'Print version'
complete -c sandbar -n "__fish_sandbar_using_subcommand list" -s f -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand list" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_using_subcommand list" -s o -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_using_subcommand list" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_using_subcommand list" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand list" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand list" -l all -d 'Everything that Sandbar owns on this machine: clusters, what engines have, reports of failures, files put aside'
complete -c sandbar -n "__fish_sandbar_using_subcommand list" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_using_subcommand list" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand list" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_using_subcommand list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandbar -n "__fish_sandbar_using_subcommand list" -s V -l version -d 'Print version'
complete -c sandbar -n "__fish_sandbar_using_subcommand status" -s f -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand status" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_using_subcommand status" -s o -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_using_subcommand status" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_using_subcommand status" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand status" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand status" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_using_subcommand status" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand status" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandbar -n "__fish_sandbar_using_subcommand status" -s V -l version -d 'Print version'
complete -c sandbar -n "__fish_sandbar_using_subcommand logs" -s c -l cluster -d 'Name of the cluster' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand logs" -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand logs" -l tail -d 'So many last lines alone' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand logs" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_using_subcommand logs" -s o -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_using_subcommand logs" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_using_subcommand logs" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand logs" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand logs" -s f -l follow -d 'Go on with what comes'
complete -c sandbar -n "__fish_sandbar_using_subcommand logs" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_using_subcommand logs" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand logs" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_using_subcommand logs" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandbar -n "__fish_sandbar_using_subcommand logs" -s V -l version -d 'Print version'
complete -c sandbar -n "__fish_sandbar_using_subcommand report" -s o -l archive -d 'The archive, or - for standard output [default: sandbar-report-NAME-TIME.tar.gz here]' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand report" -l since -d 'Lines of logs from that time on alone, such as 1h or 30m ago' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand report" -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_using_subcommand report" -s f -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand report" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_using_subcommand report" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_using_subcommand report" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand report" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand report" -l keep-names -d 'Leave addresses, host and user names readable; secrets are masked all the same'
complete -c sandbar -n "__fish_sandbar_using_subcommand report" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_using_subcommand report" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand report" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_using_subcommand report" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandbar -n "__fish_sandbar_using_subcommand report" -s V -l version -d 'Print version'
complete -c sandbar -n "__fish_sandbar_using_subcommand shell" -s f -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand shell" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_using_subcommand shell" -s o -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_using_subcommand shell" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_using_subcommand shell" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand shell" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand shell" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_using_subcommand shell" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand shell" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_using_subcommand shell" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandbar -n "__fish_sandbar_using_subcommand shell" -s V -l version -d 'Print version'
complete -c sandbar -n "__fish_sandbar_using_subcommand exec" -s c -l cluster -d 'Name of the cluster' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand exec" -l env -d 'A variable of its environment' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand exec" -s f -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand exec" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_using_subcommand exec" -s o -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_using_subcommand exec" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_using_subcommand exec" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand exec" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand exec" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_using_subcommand exec" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand exec" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_using_subcommand exec" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandbar -n "__fish_sandbar_using_subcommand exec" -s V -l version -d 'Print version'
complete -c sandbar -n "__fish_sandbar_using_subcommand kubectl" -s c -l cluster -d 'Name of the cluster' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand kubectl" -s f -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand kubectl" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_using_subcommand kubectl" -s o -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_using_subcommand kubectl" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_using_subcommand kubectl" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand kubectl" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand kubectl" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_using_subcommand kubectl" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand kubectl" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and not __fish_seen_subcommand_from print merge unmerge help" -s f -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and not __fish_seen_subcommand_from print merge unmerge help" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and not __fish_seen_subcommand_from print merge unmerge help" -s o -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and not __fish_seen_subcommand_from print merge unmerge help" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and not __fish_seen_subcommand_from print merge unmerge help" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and not __fish_seen_subcommand_from print merge unmerge help" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and not __fish_seen_subcommand_from print merge unmerge help" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and not __fish_seen_subcommand_from print merge unmerge help" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and not __fish_seen_subcommand_from print merge unmerge help" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and not __fish_seen_subcommand_from print merge unmerge help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and not __fish_seen_subcommand_from print merge unmerge help" -s V -l version -d 'Print version'
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and not __fish_seen_subcommand_from print merge unmerge help" -f -a "print" -d 'Print it, with its private key'
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and not __fish_seen_subcommand_from print merge unmerge help" -f -a "merge" -d 'Put its context into your kubeconfig and make it the current one'
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and not __fish_seen_subcommand_from print merge unmerge help" -f -a "unmerge" -d 'Take its entries out of your kubeconfig and restore the context before it'
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and not __fish_seen_subcommand_from print merge unmerge help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and __fish_seen_subcommand_from print" -s f -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and __fish_seen_subcommand_from print" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and __fish_seen_subcommand_from print" -s o -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and __fish_seen_subcommand_from print" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and __fish_seen_subcommand_from print" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and __fish_seen_subcommand_from print" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and __fish_seen_subcommand_from print" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and __fish_seen_subcommand_from print" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and __fish_seen_subcommand_from print" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and __fish_seen_subcommand_from print" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and __fish_seen_subcommand_from print" -s V -l version -d 'Print version'
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and __fish_seen_subcommand_from merge" -s f -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and __fish_seen_subcommand_from merge" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and __fish_seen_subcommand_from merge" -s o -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and __fish_seen_subcommand_from merge" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and __fish_seen_subcommand_from merge" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and __fish_seen_subcommand_from merge" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and __fish_seen_subcommand_from merge" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and __fish_seen_subcommand_from merge" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and __fish_seen_subcommand_from merge" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and __fish_seen_subcommand_from merge" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and __fish_seen_subcommand_from merge" -s V -l version -d 'Print version'
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and __fish_seen_subcommand_from unmerge" -s f -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and __fish_seen_subcommand_from unmerge" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and __fish_seen_subcommand_from unmerge" -s o -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and __fish_seen_subcommand_from unmerge" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and __fish_seen_subcommand_from unmerge" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and __fish_seen_subcommand_from unmerge" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and __fish_seen_subcommand_from unmerge" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and __fish_seen_subcommand_from unmerge" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and __fish_seen_subcommand_from unmerge" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and __fish_seen_subcommand_from unmerge" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and __fish_seen_subcommand_from unmerge" -s V -l version -d 'Print version'
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and __fish_seen_subcommand_from help" -f -a "print" -d 'Print it, with its private key'
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and __fish_seen_subcommand_from help" -f -a "merge" -d 'Put its context into your kubeconfig and make it the current one'
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and __fish_seen_subcommand_from help" -f -a "unmerge" -d 'Take its entries out of your kubeconfig and restore the context before it'
complete -c sandbar -n "__fish_sandbar_using_subcommand kubeconfig; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c sandbar -n "__fish_sandbar_using_subcommand image; and not __fish_seen_subcommand_from load ls help" -s f -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand image; and not __fish_seen_subcommand_from load ls help" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_using_subcommand image; and not __fish_seen_subcommand_from load ls help" -s o -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_using_subcommand image; and not __fish_seen_subcommand_from load ls help" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_using_subcommand image; and not __fish_seen_subcommand_from load ls help" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand image; and not __fish_seen_subcommand_from load ls help" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand image; and not __fish_seen_subcommand_from load ls help" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_using_subcommand image; and not __fish_seen_subcommand_from load ls help" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand image; and not __fish_seen_subcommand_from load ls help" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_using_subcommand image; and not __fish_seen_subcommand_from load ls help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandbar -n "__fish_sandbar_using_subcommand image; and not __fish_seen_subcommand_from load ls help" -s V -l version -d 'Print version'
complete -c sandbar -n "__fish_sandbar_using_subcommand image; and not __fish_seen_subcommand_from load ls help" -f -a "load" -d 'Bring an image into the node: from the engine\'s store, an archive, a folder in OCI layout, or standard input'
complete -c sandbar -n "__fish_sandbar_using_subcommand image; and not __fish_seen_subcommand_from load ls help" -f -a "ls" -d 'List the images that the node has'
complete -c sandbar -n "__fish_sandbar_using_subcommand image; and not __fish_seen_subcommand_from load ls help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c sandbar -n "__fish_sandbar_using_subcommand image; and __fish_seen_subcommand_from load" -s c -l cluster -d 'Name of the cluster' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand image; and __fish_seen_subcommand_from load" -l tag -d 'Name for the image in the node, in place of those that it has' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand image; and __fish_seen_subcommand_from load" -s f -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand image; and __fish_seen_subcommand_from load" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_using_subcommand image; and __fish_seen_subcommand_from load" -s o -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_using_subcommand image; and __fish_seen_subcommand_from load" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_using_subcommand image; and __fish_seen_subcommand_from load" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand image; and __fish_seen_subcommand_from load" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand image; and __fish_seen_subcommand_from load" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_using_subcommand image; and __fish_seen_subcommand_from load" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand image; and __fish_seen_subcommand_from load" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_using_subcommand image; and __fish_seen_subcommand_from load" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandbar -n "__fish_sandbar_using_subcommand image; and __fish_seen_subcommand_from load" -s V -l version -d 'Print version'
complete -c sandbar -n "__fish_sandbar_using_subcommand image; and __fish_seen_subcommand_from ls" -s c -l cluster -d 'Name of the cluster' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand image; and __fish_seen_subcommand_from ls" -s f -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand image; and __fish_seen_subcommand_from ls" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_using_subcommand image; and __fish_seen_subcommand_from ls" -s o -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_using_subcommand image; and __fish_seen_subcommand_from ls" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_using_subcommand image; and __fish_seen_subcommand_from ls" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand image; and __fish_seen_subcommand_from ls" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand image; and __fish_seen_subcommand_from ls" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_using_subcommand image; and __fish_seen_subcommand_from ls" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand image; and __fish_seen_subcommand_from ls" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_using_subcommand image; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandbar -n "__fish_sandbar_using_subcommand image; and __fish_seen_subcommand_from ls" -s V -l version -d 'Print version'
complete -c sandbar -n "__fish_sandbar_using_subcommand image; and __fish_seen_subcommand_from help" -f -a "load" -d 'Bring an image into the node: from the engine\'s store, an archive, a folder in OCI layout, or standard input'
complete -c sandbar -n "__fish_sandbar_using_subcommand image; and __fish_seen_subcommand_from help" -f -a "ls" -d 'List the images that the node has'
complete -c sandbar -n "__fish_sandbar_using_subcommand image; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and not __fish_seen_subcommand_from ls add rm help" -s f -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and not __fish_seen_subcommand_from ls add rm help" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and not __fish_seen_subcommand_from ls add rm help" -s o -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and not __fish_seen_subcommand_from ls add rm help" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and not __fish_seen_subcommand_from ls add rm help" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and not __fish_seen_subcommand_from ls add rm help" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and not __fish_seen_subcommand_from ls add rm help" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and not __fish_seen_subcommand_from ls add rm help" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and not __fish_seen_subcommand_from ls add rm help" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and not __fish_seen_subcommand_from ls add rm help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and not __fish_seen_subcommand_from ls add rm help" -s V -l version -d 'Print version'
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and not __fish_seen_subcommand_from ls add rm help" -f -a "ls" -d 'List the ports of a cluster'
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and not __fish_seen_subcommand_from ls add rm help" -f -a "add" -d 'Let further ports lead into a cluster that runs'
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and not __fish_seen_subcommand_from ls add rm help" -f -a "rm" -d 'Take further ports away from a cluster that runs'
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and not __fish_seen_subcommand_from ls add rm help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and __fish_seen_subcommand_from ls" -s c -l cluster -d 'Name of the cluster' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and __fish_seen_subcommand_from ls" -s f -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and __fish_seen_subcommand_from ls" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and __fish_seen_subcommand_from ls" -s o -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and __fish_seen_subcommand_from ls" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and __fish_seen_subcommand_from ls" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and __fish_seen_subcommand_from ls" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and __fish_seen_subcommand_from ls" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and __fish_seen_subcommand_from ls" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and __fish_seen_subcommand_from ls" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and __fish_seen_subcommand_from ls" -s V -l version -d 'Print version'
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and __fish_seen_subcommand_from add" -s c -l cluster -d 'Name of the cluster' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and __fish_seen_subcommand_from add" -s f -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and __fish_seen_subcommand_from add" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and __fish_seen_subcommand_from add" -s o -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and __fish_seen_subcommand_from add" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and __fish_seen_subcommand_from add" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and __fish_seen_subcommand_from add" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and __fish_seen_subcommand_from add" -l recreate -d 'Make the node anew where its engine cannot do otherwise; the cluster\'s data stay'
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and __fish_seen_subcommand_from add" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and __fish_seen_subcommand_from add" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and __fish_seen_subcommand_from add" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and __fish_seen_subcommand_from add" -s V -l version -d 'Print version'
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and __fish_seen_subcommand_from rm" -s c -l cluster -d 'Name of the cluster' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and __fish_seen_subcommand_from rm" -s f -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and __fish_seen_subcommand_from rm" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and __fish_seen_subcommand_from rm" -s o -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and __fish_seen_subcommand_from rm" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and __fish_seen_subcommand_from rm" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and __fish_seen_subcommand_from rm" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and __fish_seen_subcommand_from rm" -l recreate -d 'Make the node anew where its engine cannot do otherwise; the cluster\'s data stay'
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and __fish_seen_subcommand_from rm" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and __fish_seen_subcommand_from rm" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and __fish_seen_subcommand_from rm" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and __fish_seen_subcommand_from rm" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and __fish_seen_subcommand_from rm" -s V -l version -d 'Print version'
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and __fish_seen_subcommand_from help" -f -a "ls" -d 'List the ports of a cluster'
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and __fish_seen_subcommand_from help" -f -a "add" -d 'Let further ports lead into a cluster that runs'
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and __fish_seen_subcommand_from help" -f -a "rm" -d 'Take further ports away from a cluster that runs'
complete -c sandbar -n "__fish_sandbar_using_subcommand port; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and not __fish_seen_subcommand_from path key ls prune help" -s f -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and not __fish_seen_subcommand_from path key ls prune help" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and not __fish_seen_subcommand_from path key ls prune help" -s o -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and not __fish_seen_subcommand_from path key ls prune help" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and not __fish_seen_subcommand_from path key ls prune help" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and not __fish_seen_subcommand_from path key ls prune help" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and not __fish_seen_subcommand_from path key ls prune help" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and not __fish_seen_subcommand_from path key ls prune help" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and not __fish_seen_subcommand_from path key ls prune help" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and not __fish_seen_subcommand_from path key ls prune help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and not __fish_seen_subcommand_from path key ls prune help" -s V -l version -d 'Print version'
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and not __fish_seen_subcommand_from path key ls prune help" -f -a "path" -d 'Print the folder, which is there once something was downloaded'
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and not __fish_seen_subcommand_from path key ls prune help" -f -a "key" -d 'Print a key for CI caches, made of this version, its node image and this machine\'s architecture'
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and not __fish_seen_subcommand_from path key ls prune help" -f -a "ls" -d 'List what is in it'
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and not __fish_seen_subcommand_from path key ls prune help" -f -a "prune" -d 'Remove what this version has no use for'
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and not __fish_seen_subcommand_from path key ls prune help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from path" -s f -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from path" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from path" -s o -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from path" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from path" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from path" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from path" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from path" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from path" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from path" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from path" -s V -l version -d 'Print version'
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from key" -s f -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from key" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from key" -s o -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from key" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from key" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from key" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from key" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from key" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from key" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from key" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from key" -s V -l version -d 'Print version'
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from ls" -s f -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from ls" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from ls" -s o -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from ls" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from ls" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from ls" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from ls" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from ls" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from ls" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from ls" -s V -l version -d 'Print version'
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from prune" -s f -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from prune" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from prune" -s o -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from prune" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from prune" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from prune" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from prune" -l all -d 'This version\'s node image, too'
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from prune" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from prune" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from prune" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from prune" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from prune" -s V -l version -d 'Print version'
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from help" -f -a "path" -d 'Print the folder, which is there once something was downloaded'
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from help" -f -a "key" -d 'Print a key for CI caches, made of this version, its node image and this machine\'s architecture'
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from help" -f -a "ls" -d 'List what is in it'
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from help" -f -a "prune" -d 'Remove what this version has no use for'
complete -c sandbar -n "__fish_sandbar_using_subcommand cache; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c sandbar -n "__fish_sandbar_using_subcommand device; and not __fish_seen_subcommand_from ls show help" -s f -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand device; and not __fish_seen_subcommand_from ls show help" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_using_subcommand device; and not __fish_seen_subcommand_from ls show help" -s o -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_using_subcommand device; and not __fish_seen_subcommand_from ls show help" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_using_subcommand device; and not __fish_seen_subcommand_from ls show help" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand device; and not __fish_seen_subcommand_from ls show help" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand device; and not __fish_seen_subcommand_from ls show help" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_using_subcommand device; and not __fish_seen_subcommand_from ls show help" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand device; and not __fish_seen_subcommand_from ls show help" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_using_subcommand device; and not __fish_seen_subcommand_from ls show help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandbar -n "__fish_sandbar_using_subcommand device; and not __fish_seen_subcommand_from ls show help" -s V -l version -d 'Print version'
complete -c sandbar -n "__fish_sandbar_using_subcommand device; and not __fish_seen_subcommand_from ls show help" -f -a "ls" -d 'List the devices that come with this program'
complete -c sandbar -n "__fish_sandbar_using_subcommand device; and not __fish_seen_subcommand_from ls show help" -f -a "show" -d 'Show a device: what the machine is like, and what is not emulated'
complete -c sandbar -n "__fish_sandbar_using_subcommand device; and not __fish_seen_subcommand_from ls show help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c sandbar -n "__fish_sandbar_using_subcommand device; and __fish_seen_subcommand_from ls" -s f -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand device; and __fish_seen_subcommand_from ls" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_using_subcommand device; and __fish_seen_subcommand_from ls" -s o -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_using_subcommand device; and __fish_seen_subcommand_from ls" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_using_subcommand device; and __fish_seen_subcommand_from ls" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand device; and __fish_seen_subcommand_from ls" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand device; and __fish_seen_subcommand_from ls" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_using_subcommand device; and __fish_seen_subcommand_from ls" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand device; and __fish_seen_subcommand_from ls" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_using_subcommand device; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandbar -n "__fish_sandbar_using_subcommand device; and __fish_seen_subcommand_from ls" -s V -l version -d 'Print version'
complete -c sandbar -n "__fish_sandbar_using_subcommand device; and __fish_seen_subcommand_from show" -s f -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand device; and __fish_seen_subcommand_from show" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_using_subcommand device; and __fish_seen_subcommand_from show" -s o -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_using_subcommand device; and __fish_seen_subcommand_from show" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_using_subcommand device; and __fish_seen_subcommand_from show" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand device; and __fish_seen_subcommand_from show" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand device; and __fish_seen_subcommand_from show" -l toml -d 'The profile as it stands, to make one of your own'
complete -c sandbar -n "__fish_sandbar_using_subcommand device; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_using_subcommand device; and __fish_seen_subcommand_from show" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand device; and __fish_seen_subcommand_from show" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_using_subcommand device; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandbar -n "__fish_sandbar_using_subcommand device; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c sandbar -n "__fish_sandbar_using_subcommand device; and __fish_seen_subcommand_from help" -f -a "ls" -d 'List the devices that come with this program'
complete -c sandbar -n "__fish_sandbar_using_subcommand device; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show a device: what the machine is like, and what is not emulated'
complete -c sandbar -n "__fish_sandbar_using_subcommand device; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c sandbar -n "__fish_sandbar_using_subcommand doctor" -l device -d 'Device that the cluster would be: its name, or the path of a profile' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand doctor" -l node-image -d 'Node image in the engine\'s store' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand doctor" -s f -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand doctor" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_using_subcommand doctor" -s o -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_using_subcommand doctor" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_using_subcommand doctor" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand doctor" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand doctor" -l fix -d 'Run the commands that mend what was found, each after asking, and check again'
complete -c sandbar -n "__fish_sandbar_using_subcommand doctor" -l list -d 'Say what can be checked, and check nothing'
complete -c sandbar -n "__fish_sandbar_using_subcommand doctor" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_using_subcommand doctor" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand doctor" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandbar -n "__fish_sandbar_using_subcommand doctor" -s V -l version -d 'Print version'
complete -c sandbar -n "__fish_sandbar_using_subcommand paths" -s f -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand paths" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_using_subcommand paths" -s o -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_using_subcommand paths" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_using_subcommand paths" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand paths" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand paths" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_using_subcommand paths" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand paths" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_using_subcommand paths" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandbar -n "__fish_sandbar_using_subcommand paths" -s V -l version -d 'Print version'
complete -c sandbar -n "__fish_sandbar_using_subcommand gc" -s f -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand gc" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_using_subcommand gc" -s o -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_using_subcommand gc" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_using_subcommand gc" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand gc" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand gc" -l dry-run -d 'Say what would be removed, and remove nothing'
complete -c sandbar -n "__fish_sandbar_using_subcommand gc" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_using_subcommand gc" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand gc" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_using_subcommand gc" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandbar -n "__fish_sandbar_using_subcommand gc" -s V -l version -d 'Print version'
complete -c sandbar -n "__fish_sandbar_using_subcommand completions" -s f -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand completions" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_using_subcommand completions" -s o -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_using_subcommand completions" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_using_subcommand completions" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand completions" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand completions" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_using_subcommand completions" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand completions" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandbar -n "__fish_sandbar_using_subcommand completions" -s V -l version -d 'Print version'
complete -c sandbar -n "__fish_sandbar_using_subcommand schema" -s f -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand schema" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_using_subcommand schema" -s o -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_using_subcommand schema" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_using_subcommand schema" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand schema" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand schema" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_using_subcommand schema" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand schema" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_using_subcommand schema" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandbar -n "__fish_sandbar_using_subcommand schema" -s V -l version -d 'Print version'
complete -c sandbar -n "__fish_sandbar_using_subcommand version" -s f -l file -d 'Cluster file; `./sandbar.yaml` is used where there is one' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand version" -l engine -d 'Engine that runs the node' -r -f -a "auto\t'The one that fits on this host'
podman\t'Podman'
docker\t'Docker'
machine\t'A machine of QEMU, which needs neither'"
complete -c sandbar -n "__fish_sandbar_using_subcommand version" -s o -l output -d 'Form of the result' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names alone, one a line'"
complete -c sandbar -n "__fish_sandbar_using_subcommand version" -l events -d 'Form of the progress on stderr' -r -f -a "json\t'For programs: one JSON object a line on stderr'"
complete -c sandbar -n "__fish_sandbar_using_subcommand version" -l timeout -d 'How long to wait, such as 90s or 5m; 2m where it is left out' -r
complete -c sandbar -n "__fish_sandbar_using_subcommand version" -l kubeconfig -d 'Kubeconfig to use in place of KUBECONFIG and ~/.kube/config' -r -F
complete -c sandbar -n "__fish_sandbar_using_subcommand version" -s q -l quiet -d 'Nothing but results and errors'
complete -c sandbar -n "__fish_sandbar_using_subcommand version" -s v -l verbose -d 'More of what happens'
complete -c sandbar -n "__fish_sandbar_using_subcommand version" -s y -l yes -d 'Yes to every question'
complete -c sandbar -n "__fish_sandbar_using_subcommand version" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandbar -n "__fish_sandbar_using_subcommand version" -s V -l version -d 'Print version'
complete -c sandbar -n "__fish_sandbar_using_subcommand help; and not __fish_seen_subcommand_from init up stop start restart pause unpause renew rm ls status logs report shell exec kubectl kubeconfig image port cache device doctor paths gc completions schema version help" -f -a "init" -d 'Write a cluster file, with a comment for each key'
complete -c sandbar -n "__fish_sandbar_using_subcommand help; and not __fish_seen_subcommand_from init up stop start restart pause unpause renew rm ls status logs report shell exec kubectl kubeconfig image port cache device doctor paths gc completions schema version help" -f -a "up" -d 'Make a cluster, start it, or find that nothing is to be done'
complete -c sandbar -n "__fish_sandbar_using_subcommand help; and not __fish_seen_subcommand_from init up stop start restart pause unpause renew rm ls status logs report shell exec kubectl kubeconfig image port cache device doctor paths gc completions schema version help" -f -a "stop" -d 'Stop a cluster; its data, ports and context stay'
complete -c sandbar -n "__fish_sandbar_using_subcommand help; and not __fish_seen_subcommand_from init up stop start restart pause unpause renew rm ls status logs report shell exec kubectl kubeconfig image port cache device doctor paths gc completions schema version help" -f -a "start" -d 'Start a stopped cluster as it was'
complete -c sandbar -n "__fish_sandbar_using_subcommand help; and not __fish_seen_subcommand_from init up stop start restart pause unpause renew rm ls status logs report shell exec kubectl kubeconfig image port cache device doctor paths gc completions schema version help" -f -a "restart" -d 'Stop a cluster and start it again'
complete -c sandbar -n "__fish_sandbar_using_subcommand help; and not __fish_seen_subcommand_from init up stop start restart pause unpause renew rm ls status logs report shell exec kubectl kubeconfig image port cache device doctor paths gc completions schema version help" -f -a "pause" -d 'Freeze a cluster: it keeps its memory and takes no CPU time'
complete -c sandbar -n "__fish_sandbar_using_subcommand help; and not __fish_seen_subcommand_from init up stop start restart pause unpause renew rm ls status logs report shell exec kubectl kubeconfig image port cache device doctor paths gc completions schema version help" -f -a "unpause" -d 'Let a paused cluster go on'
complete -c sandbar -n "__fish_sandbar_using_subcommand help; and not __fish_seen_subcommand_from init up stop start restart pause unpause renew rm ls status logs report shell exec kubectl kubeconfig image port cache device doctor paths gc completions schema version help" -f -a "renew" -d 'Say anew how long a cluster is wanted, before `sandbar gc` removes it'
complete -c sandbar -n "__fish_sandbar_using_subcommand help; and not __fish_seen_subcommand_from init up stop start restart pause unpause renew rm ls status logs report shell exec kubectl kubeconfig image port cache device doctor paths gc completions schema version help" -f -a "rm" -d 'Remove clusters with everything of them: container, network, volume, kubeconfig entries'
complete -c sandbar -n "__fish_sandbar_using_subcommand help; and not __fish_seen_subcommand_from init up stop start restart pause unpause renew rm ls status logs report shell exec kubectl kubeconfig image port cache device doctor paths gc completions schema version help" -f -a "ls" -d 'List clusters'
complete -c sandbar -n "__fish_sandbar_using_subcommand help; and not __fish_seen_subcommand_from init up stop start restart pause unpause renew rm ls status logs report shell exec kubectl kubeconfig image port cache device doctor paths gc completions schema version help" -f -a "status" -d 'Show how a cluster is: its components, addresses, warnings'
complete -c sandbar -n "__fish_sandbar_using_subcommand help; and not __fish_seen_subcommand_from init up stop start restart pause unpause renew rm ls status logs report shell exec kubectl kubeconfig image port cache device doctor paths gc completions schema version help" -f -a "logs" -d 'Show what the node\'s components say'
complete -c sandbar -n "__fish_sandbar_using_subcommand help; and not __fish_seen_subcommand_from init up stop start restart pause unpause renew rm ls status logs report shell exec kubectl kubeconfig image port cache device doctor paths gc completions schema version help" -f -a "report" -d 'Write one archive to show to somebody else: logs, resources, versions'
complete -c sandbar -n "__fish_sandbar_using_subcommand help; and not __fish_seen_subcommand_from init up stop start restart pause unpause renew rm ls status logs report shell exec kubectl kubeconfig image port cache device doctor paths gc completions schema version help" -f -a "shell" -d 'Open a shell in the node'
complete -c sandbar -n "__fish_sandbar_using_subcommand help; and not __fish_seen_subcommand_from init up stop start restart pause unpause renew rm ls status logs report shell exec kubectl kubeconfig image port cache device doctor paths gc completions schema version help" -f -a "exec" -d 'Run a program in the node; its exit code is this one\'s'
complete -c sandbar -n "__fish_sandbar_using_subcommand help; and not __fish_seen_subcommand_from init up stop start restart pause unpause renew rm ls status logs report shell exec kubectl kubeconfig image port cache device doctor paths gc completions schema version help" -f -a "kubectl" -d 'Run kubectl for a cluster: this machine\'s own where its version fits, otherwise the node\'s'
complete -c sandbar -n "__fish_sandbar_using_subcommand help; and not __fish_seen_subcommand_from init up stop start restart pause unpause renew rm ls status logs report shell exec kubectl kubeconfig image port cache device doctor paths gc completions schema version help" -f -a "kubeconfig" -d 'Print a cluster\'s kubeconfig, or put it into yours and take it out'
complete -c sandbar -n "__fish_sandbar_using_subcommand help; and not __fish_seen_subcommand_from init up stop start restart pause unpause renew rm ls status logs report shell exec kubectl kubeconfig image port cache device doctor paths gc completions schema version help" -f -a "image" -d 'Images in the node'
complete -c sandbar -n "__fish_sandbar_using_subcommand help; and not __fish_seen_subcommand_from init up stop start restart pause unpause renew rm ls status logs report shell exec kubectl kubeconfig image port cache device doctor paths gc completions schema version help" -f -a "port" -d 'Ports of this machine that lead into a cluster'
complete -c sandbar -n "__fish_sandbar_using_subcommand help; and not __fish_seen_subcommand_from init up stop start restart pause unpause renew rm ls status logs report shell exec kubectl kubeconfig image port cache device doctor paths gc completions schema version help" -f -a "cache" -d 'What was downloaded: node images of releases'
complete -c sandbar -n "__fish_sandbar_using_subcommand help; and not __fish_seen_subcommand_from init up stop start restart pause unpause renew rm ls status logs report shell exec kubectl kubeconfig image port cache device doctor paths gc completions schema version help" -f -a "device" -d 'Devices that a cluster\'s machine can play: boards such as a Raspberry Pi, on any laptop'
complete -c sandbar -n "__fish_sandbar_using_subcommand help; and not __fish_seen_subcommand_from init up stop start restart pause unpause renew rm ls status logs report shell exec kubectl kubeconfig image port cache device doctor paths gc completions schema version help" -f -a "doctor" -d 'Check whether this machine and its engine are fit for a cluster, by trying'
complete -c sandbar -n "__fish_sandbar_using_subcommand help; and not __fish_seen_subcommand_from init up stop start restart pause unpause renew rm ls status logs report shell exec kubectl kubeconfig image port cache device doctor paths gc completions schema version help" -f -a "paths" -d 'Show where Sandbar\'s own files are'
complete -c sandbar -n "__fish_sandbar_using_subcommand help; and not __fish_seen_subcommand_from init up stop start restart pause unpause renew rm ls status logs report shell exec kubectl kubeconfig image port cache device doctor paths gc completions schema version help" -f -a "gc" -d 'Remove what nobody wants any more: clusters whose time is over, what interrupted commands left, what has no record here'
complete -c sandbar -n "__fish_sandbar_using_subcommand help; and not __fish_seen_subcommand_from init up stop start restart pause unpause renew rm ls status logs report shell exec kubectl kubeconfig image port cache device doctor paths gc completions schema version help" -f -a "completions" -d 'Print the completions of a shell'
complete -c sandbar -n "__fish_sandbar_using_subcommand help; and not __fish_seen_subcommand_from init up stop start restart pause unpause renew rm ls status logs report shell exec kubectl kubeconfig image port cache device doctor paths gc completions schema version help" -f -a "schema" -d 'Print the JSON Schema of the cluster file, for editors'
complete -c sandbar -n "__fish_sandbar_using_subcommand help; and not __fish_seen_subcommand_from init up stop start restart pause unpause renew rm ls status logs report shell exec kubectl kubeconfig image port cache device doctor paths gc completions schema version help" -f -a "version" -d 'Show the version of this program and of the node contract that it speaks'
complete -c sandbar -n "__fish_sandbar_using_subcommand help; and not __fish_seen_subcommand_from init up stop start restart pause unpause renew rm ls status logs report shell exec kubectl kubeconfig image port cache device doctor paths gc completions schema version help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c sandbar -n "__fish_sandbar_using_subcommand help; and __fish_seen_subcommand_from kubeconfig" -f -a "print" -d 'Print it, with its private key'
complete -c sandbar -n "__fish_sandbar_using_subcommand help; and __fish_seen_subcommand_from kubeconfig" -f -a "merge" -d 'Put its context into your kubeconfig and make it the current one'
complete -c sandbar -n "__fish_sandbar_using_subcommand help; and __fish_seen_subcommand_from kubeconfig" -f -a "unmerge" -d 'Take its entries out of your kubeconfig and restore the context before it'
complete -c sandbar -n "__fish_sandbar_using_subcommand help; and __fish_seen_subcommand_from image" -f -a "load" -d 'Bring an image into the node: from the engine\'s store, an archive, a folder in OCI layout, or standard input'
complete -c sandbar -n "__fish_sandbar_using_subcommand help; and __fish_seen_subcommand_from image" -f -a "ls" -d 'List the images that the node has'
complete -c sandbar -n "__fish_sandbar_using_subcommand help; and __fish_seen_subcommand_from port" -f -a "ls" -d 'List the ports of a cluster'
complete -c sandbar -n "__fish_sandbar_using_subcommand help; and __fish_seen_subcommand_from port" -f -a "add" -d 'Let further ports lead into a cluster that runs'
complete -c sandbar -n "__fish_sandbar_using_subcommand help; and __fish_seen_subcommand_from port" -f -a "rm" -d 'Take further ports away from a cluster that runs'
complete -c sandbar -n "__fish_sandbar_using_subcommand help; and __fish_seen_subcommand_from cache" -f -a "path" -d 'Print the folder, which is there once something was downloaded'
complete -c sandbar -n "__fish_sandbar_using_subcommand help; and __fish_seen_subcommand_from cache" -f -a "key" -d 'Print a key for CI caches, made of this version, its node image and this machine\'s architecture'
complete -c sandbar -n "__fish_sandbar_using_subcommand help; and __fish_seen_subcommand_from cache" -f -a "ls" -d 'List what is in it'
complete -c sandbar -n "__fish_sandbar_using_subcommand help; and __fish_seen_subcommand_from cache" -f -a "prune" -d 'Remove what this version has no use for'
complete -c sandbar -n "__fish_sandbar_using_subcommand help; and __fish_seen_subcommand_from device" -f -a "ls" -d 'List the devices that come with this program'
complete -c sandbar -n "__fish_sandbar_using_subcommand help; and __fish_seen_subcommand_from device" -f -a "show" -d 'Show a device: what the machine is like, and what is not emulated'
