"""Words that no identifier of emitted WGSL may be. Enters: nothing. Leaves: one set."""

from __future__ import annotations

_KEYWORDS = """alias array atomic bitcast bool break case const const_assert continue continuing default diagnostic
discard else enable f16 f32 false fn for i32 i64 if let loop mat2x2 mat2x3 mat2x4 mat3x2 mat3x3 mat3x4 mat4x2 mat4x3
mat4x4 override ptr requires return sampler sampler_comparison static_assert struct switch true type u32 u64 var vec2
vec3 vec4 while"""

# Section "Reserved Words" of the specification, and those that implementations still add.
_RESERVED = """CompileShader ComputeShader DomainShader GeometryShader Hullshader NULL Self abstract active alignas
alignof as asm asm_fragment async attribute auto await become binding_array cast catch class co_await co_return co_yield
coherent column_major common compile compile_fragment concept const_cast consteval constexpr constinit crate debugger
decltype delete demote demote_to_helper do dynamic_cast enum explicit export extends extern external fallthrough filter
final finally friend from function fxgroup get goto groupshared handle highp impl implements import inline inout
instanceof interface layout lowp macro macro_rules match mediump meta mod module move mut mutable namespace new nil
noexcept noinline nointerpolation non_coherent noncoherent noperspective null nullptr of operator package packoffset
partition pass patch pixelfragment precise precision premerge priv protected pub public readonly ref regardless register
reinterpret_cast resource restrict self set shared signed sizeof smooth snorm static static_cast std subroutine super
target template this thread_local throw trait try typedef typeid typename typeof union unless unorm unsafe unsized use
using varying virtual volatile wgsl where with writeonly yield"""

# Built-in functions and enumerants: legal as identifiers, but then the function is out of reach.
_BUILTIN = """abs acos acosh all any arrayLength asin asinh atan atan2 atanh ceil clamp cos cosh countLeadingZeros
countOneBits countTrailingZeros cross degrees determinant distance dot exp exp2 extractBits faceForward firstLeadingBit
firstTrailingBit floor fma fract frexp insertBits inverse inverseSqrt ldexp length log log2 max min mix modf normalize
pow quantizeToF16 radians reflect refract reverseBits round saturate select sign sin sinh smoothstep sqrt step
storageBarrier tan tanh transpose trunc workgroupBarrier workgroupUniformLoad read read_write write storage uniform
private workgroup vec2f vec3f vec4f vec2i vec3i vec4i vec2u vec3u vec4u"""

# Names that every emitted module uses itself.
_FRAME = "main sizes Sizes point groups invocation"

RESERVED = frozenset(f"{_KEYWORDS} {_RESERVED} {_BUILTIN} {_FRAME}".split())
