# Evaluates a Homebrew formula without Homebrew: what it downloads on each platform, and what it installs from there.
#
# usage: formula.rb FORMULA                                 prints URL and SHA-256 for each platform, a line each
#        formula.rb FORMULA OS CPU UNPACKED PREFIX          installs from an unpacked archive into a folder, and runs its test
#
# OS: macos or linux. CPU: arm or intel. What Homebrew's formulae may call is in its Formula Cookbook
# (https://docs.brew.sh/Formula-Cookbook); this knows as much of it as Sandbar's does call.

require "fileutils"
require "open3"
require "pathname"

# A folder into which a formula installs.
class Folder
  def initialize(path)
    @path = path
  end

  def install(*what)
    what.flatten.each do |one|
      pairs = one.is_a?(Hash) ? one.to_a : [[one, File.basename(one)]]
      pairs.each do |from, name|
        raise "#{from} is not in the archive" unless File.file?(from)
        FileUtils.mkdir_p(@path)
        FileUtils.cp(from, File.join(@path, name))
      end
    end
  end

  def to_s
    @path.to_s
  end
end

class Formula
  PLATFORMS = %w[macos linux].product(%w[arm intel])
  FOLDERS = { bin: "bin", man1: "share/man/man1", bash_completion: "etc/bash_completion.d",
              fish_completion: "share/fish/vendor_completions.d", zsh_completion: "share/zsh/site-functions" }

  class << self
    attr_accessor :platform, :last, :tested
    %i[desc homepage version license url sha256].each do |name|
      define_method(name) do |value = nil|
        @facts ||= {}
        raise "two of #{name}" if value && @facts.key?(name)
        value ? @facts[name] = value : @facts.fetch(name)
      end
    end
    %w[macos linux].each { |os| define_method("on_#{os}") { |&block| block.call if platform[0] == os } }
    %w[arm intel].each { |cpu| define_method("on_#{cpu}") { |&block| block.call if platform[1] == cpu } }

    def inherited(formula)
      super
      Formula.last = formula
      formula.platform = Formula.platform
    end

    def test(&block)
      self.tested = block
    end
  end

  FOLDERS.each { |name, path| define_method(name) { Folder.new(Pathname(@prefix) / path) } }

  def initialize(prefix)
    @prefix = prefix
  end

  def version
    self.class.version
  end

  def shell_output(command)
    output, status = Open3.capture2(command)
    raise "#{command}: #{status}" unless status.success?
    output
  end

  def assert_match(expected, actual)
    raise "#{actual.inspect} does not say #{expected.inspect}" unless actual.match?(Regexp.new(Regexp.escape(expected)))
  end

  def run_test
    instance_eval(&self.class.tested)
  end
end

# The formula as it is on one platform.
def evaluate(path, platform)
  Formula.platform = platform
  Object.send(:remove_const, :Sandbar) if Object.const_defined?(:Sandbar)
  load path
  formula = Formula.last
  %i[desc homepage version license url sha256].each { |name| formula.send(name) }
  raise "a description of over 80 characters" if formula.desc.length > 80
  formula
end

path, os, cpu, unpacked, prefix = ARGV.map.with_index { |word, at| at.zero? || at > 2 ? File.absolute_path(word) : word }
if os
  formula = evaluate(path, [os, cpu]).new(prefix)
  Dir.chdir(unpacked) { formula.install }
  formula.run_test
else
  Formula::PLATFORMS.each do |platform|
    formula = evaluate(path, platform)
    puts "#{formula.url} #{formula.sha256}"
  end
end
