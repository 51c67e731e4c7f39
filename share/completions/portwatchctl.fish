# SPDX-License-Identifier: MIT
# fish completion for portwatchctl. The program itself says what may follow (portwatchctl complete):
# one candidate a line, a tab, what it is; just as fish wants it.

function __portwatchctl_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l option (string match -r -- '^--[a-z-]+=' $current)
    set -q option[1]; or set option ''
    set -l path (string replace -r -- '^--[a-z-]+=' '' $current)
    for line in ($words[1] complete -- $words[2..-1] $current 2>/dev/null)
        switch $line
            case \tfiles
                printf '%s\n' $option(__fish_complete_path $path)
            case \tdirectories
                printf '%s\n' $option(__fish_complete_directories $path)
            case '*'
                printf '%s\n' $line
        end
    end
end

complete -c portwatchctl -f -a '(__portwatchctl_complete)'
